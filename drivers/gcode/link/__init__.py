"""The serial port and the one thread that owns it."""
