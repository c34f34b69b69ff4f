"""Which optimizer needs the fewest trials: problems, peers, runs, and the tables made of them."""
