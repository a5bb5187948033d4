"""What `make bench-service` measures the service with; see specs/benchmarks.md."""
