"""Generated mutants of the model and of the domain: each is noticed, or argued away."""
