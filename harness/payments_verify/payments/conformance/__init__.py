"""How much of what is right a service does: levels, parts of an examination, and its verdict."""
