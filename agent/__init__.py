"""The daemon on a 3D printer's board: commands in over Faye, G-code out over serial, reports back over HTTP."""

__version__ = "0.1.0"
