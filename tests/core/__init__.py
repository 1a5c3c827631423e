"""Tests of the ground: validators, credentials, settings."""
