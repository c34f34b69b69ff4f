"""What proposals in batches cost: in evaluations, in spread, and in seconds."""
