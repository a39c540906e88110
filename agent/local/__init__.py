"""Local access for the person at the printer: the local socket, the status page and the metrics."""
