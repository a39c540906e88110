"""A driver plug-in for printer-agent: a printer that takes G-code over TCP."""
