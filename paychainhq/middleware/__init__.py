"""Middleware between a call and its attempts: retries, limits, pauses."""
