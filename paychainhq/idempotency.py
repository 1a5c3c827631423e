"""Idempotency keys: one for each logical call, made before its first attempt."""

from __future__ import annotations

import hashlib
import json
import os

# What `json.dumps(text, ensure_ascii=False)` does, without making an encoder for each.
_quoted = json.encoder.encode_basestring


def new_key() -> str:
    """Make a key that no other call has."""
    return os.urandom(16).hex()


def key_for_reference(operation: str, business_id: str, reference: str) -> str:
    """Derive the key of a request from the caller's own name for it, so that a job that runs again asks for the same thing.

    The recipe never changes under its prefix: a new version of this package must ask for what an old one asked for.
    """
    named = f"[{_quoted(operation)},{_quoted(business_id)},{_quoted(reference)}]"  # a JSON array
    return f"pc1-{hashlib.sha256(named.encode()).hexdigest()[:40]}"
