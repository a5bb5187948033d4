"""The harness: compares any implementation with the model."""
