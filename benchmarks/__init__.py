"""Measurements of gpbo: the demo, and comparisons that print figures with machine and commit."""
