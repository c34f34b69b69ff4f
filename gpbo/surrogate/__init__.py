"""What is believed about the objective: surrogate models and their posteriors."""
