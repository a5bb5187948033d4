"""Many clients at once, and every history of theirs checked."""
