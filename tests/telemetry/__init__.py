"""Tests of telemetry: its hooks, waits, added headers, log extras and statistics."""
