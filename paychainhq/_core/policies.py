"""Policies of a client: retries and rate limits."""

from __future__ import annotations

from functools import partial

import attrs

from paychainhq._core.validators import at_least, checked, seconds

_seconds = checked(seconds)
_positive = checked(partial(at_least, 1))


@attrs.frozen
class RetryPolicy:
    """Policy for transient failures: attempts, and the waits between them.

    Args:
        attempts: The largest number of attempts of a call, the first included.
        attempt_timeout: The longest duration of an attempt in seconds.
        first: The longest wait before the second attempt in seconds; it doubles with each further
            attempt. The wait is drawn uniformly from zero to this value (full jitter).
        cap: The longest wait before any attempt in seconds.
    """

    attempts: int = attrs.field(default=6, validator=_positive)
    attempt_timeout: float = attrs.field(default=20.0, validator=_seconds)
    first: float = attrs.field(default=0.5, validator=_seconds)
    cap: float = attrs.field(default=20.0, validator=_seconds)


@attrs.frozen
class RateLimit:
    """Limit of `rate` requests in `per` seconds.

    Args:
        rate: The number of requests in each period.
        per: The length of the period in seconds.
        burst: The number of requests that may be sent at once after a pause; by default `rate`,
            but at least 1.
    """

    rate: float = attrs.field(validator=_seconds)
    per: float = attrs.field(default=1.0, validator=_seconds)
    burst: int | None = attrs.field(default=None, validator=attrs.validators.optional(_positive))
