"""How long an audit of many payments takes, and how much memory it needs."""
