"""Tests of jobs: many requests at once."""
