"""Tests of the stress tools."""
