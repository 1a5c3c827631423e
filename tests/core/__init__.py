"""Tests of the foundation: validators, credentials, settings."""
