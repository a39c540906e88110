"""What is sent in which order: the file, procedures, heaters, parking, dialects."""
