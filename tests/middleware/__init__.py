"""Tests of retries and limits."""
