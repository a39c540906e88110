"""One open connection to a printer: what it says and what is asked of it."""
