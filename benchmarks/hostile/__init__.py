"""Attacks on an agent that prints, each measured: `python -m benchmarks.hostile`."""
