"""What `make test-containers` does: builds the image, brings the composition up, examines and hurts it."""
