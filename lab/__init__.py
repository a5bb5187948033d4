"""What checks this repository and is shipped to nobody."""
