"""Faults injected on real sockets between a client and a payments API."""
