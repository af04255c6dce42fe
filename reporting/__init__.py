"""Tables and pictures; nothing here needs torch."""
