"""Benchmarks of this package and of other clients; `make bench` runs them all."""
