"""Tests of the spans and metrics of OpenTelemetry."""
