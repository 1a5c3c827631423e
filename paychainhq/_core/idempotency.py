"""Idempotency keys: one for each logical call, created before its first attempt."""

from __future__ import annotations

import hashlib
import json
import os

# The effect of `json.dumps(text, ensure_ascii=False)`, without a new encoder for each text.
_quoted = json.encoder.encode_basestring


def new_key() -> str:
    """Return a new unique key."""
    return os.urandom(16).hex()


def key_for_reference(operation: str, business_id: str, reference: str) -> str:
    """Derive the key of a request from its reference, so that a repeated job sends the same keys.

    The derivation never changes under its prefix: a new version of this package must derive the
    same keys as an old one.
    """
    named = f"[{_quoted(operation)},{_quoted(business_id)},{_quoted(reference)}]"  # a JSON array
    return f"pc1-{hashlib.sha256(named.encode()).hexdigest()[:40]}"
