"""Faults between a client and a payments API, on real sockets: `python -m stress faults`."""
