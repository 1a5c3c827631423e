"""Stress tests of cancellation, load, crashes and faults: `python -m stress COMMAND`."""
