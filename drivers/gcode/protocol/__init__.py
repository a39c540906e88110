"""The exchange of lines with the firmware: numbers, acknowledgements, resends. Pure."""
