"""Faults between a client and a payments API, injected on real sockets: `python -m
tests.faults`.
"""
