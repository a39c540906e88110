"""Communication with the server: HTTP calls, registration, commands in, reports out."""
