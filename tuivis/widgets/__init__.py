"""Widgets: one a file. A widget draws the state and posts intents; it knows no sibling."""
