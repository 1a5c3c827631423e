"""Tests of the shared rate limit."""
