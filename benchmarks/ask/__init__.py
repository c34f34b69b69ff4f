"""One ask, timed beside the peers, and the quality of what the time buys."""
