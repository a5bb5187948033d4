"""What `make dist` does: builds the wheels, installs each into an empty environment, and runs it."""
