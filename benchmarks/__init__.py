"""Benchmarks of the cost of a request, in this package and in other clients: `make bench` runs them
all.
"""
