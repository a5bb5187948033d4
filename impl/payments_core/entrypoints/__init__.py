"""HTTP and command line; wires the rest together."""
