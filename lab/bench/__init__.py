"""The benchmarks: each answers a question of specs/benchmarks.md, by a command that anyone can run again."""
