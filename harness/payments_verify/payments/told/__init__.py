"""What went wrong, as it is told: drawings, and requests for a shell."""
