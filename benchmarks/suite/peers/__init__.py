"""The optimizers that are compared, behind one interface, each with its own defaults."""
