"""Incoming files: downloaded or received, checked, resumed, and kept for the print."""
