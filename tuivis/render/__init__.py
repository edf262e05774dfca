"""Arrays to pixels to bytes. No torch, no widgets, no engine."""
