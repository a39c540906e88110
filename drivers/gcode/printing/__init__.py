"""What is sent in which order: the file, procedures, heat, parking, dialects."""
