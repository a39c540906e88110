"""Files on their way in: fetched, checked, resumed, and kept for the print."""
