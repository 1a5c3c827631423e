"""What goes wrong between a client and a payments API, made to go wrong on real sockets: `python -m tests.faults`."""
