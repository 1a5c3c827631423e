"""Faults as a table: the behaviour, the expected outcome, and whether a retry helps."""

from __future__ import annotations

import attrs

from tests.faults import ways
from tests.faults.behaviours import (
    CHUNKED,
    EARLY_HINTS,
    HEAD,
    bomb,
    broken_off_after,
    endless,
    informed,
    limited_until_a_date,
    refusal,
    respond_and_close,
    right,
    wrong_type,
)
from tests.faults.ways import Way
from tests.support.client import error_body
from tests.support.raw_server import Behaviour, close, http_response, reset, silence

RESULT = "result"
LOST = "ConnectionFailedError"
UNTRUSTED = "UntrustedServerError"
SLOW = "RequestTimeoutError"
UNCLEAR = "DecodeError"
LIMITED = "RateLimitError"
FAILED = "ServerError"
REFUSED = "APIError"

ONCE, ALWAYS = "once", "always"


@attrs.frozen
class Timing:
    """Deadline of a call, timeout of an attempt, and largest first wait, in seconds."""

    timeout: float
    attempt_timeout: float
    first_wait: float = 0.02


AMPLE = Timing(30.0, 30.0)  # long enough for the busiest machine, so that no outcome depends on it


@attrs.frozen
class Fault:
    """Injected fault and its expected outcomes.

    Attributes:
        name: The name.
        outcomes: The outcome of a call without a retry: an error class, or several if it depends
            on chance.
        behaviour: The behaviour of the server for a request.
        forms: Whether the fault applies to the first request of each call, to every request, or
            both are run.
        passes: Whether the client classifies it as a transient failure, and retries if that is
            safe. If not, the fault applies to the first request: a repeat would succeed.
        left: Whether the request may have left before the fault; if not, even a mutation without a
            key is retried.
        taken: Whether the server executes the request before the fault.
        way: The client's way to the server.
        tls: Whether the server uses TLS.
        warm: The behaviour for requests that open connections beforehand, or None without any.
        restarts: Whether the server stops for a moment while half of the calls are in progress.
        crowded: Other possible outcomes if many calls share the machine, the retry budget and the
            limiter.
        timing: The deadline of the call, the timeout of an attempt, and the first wait.
    """

    name: str
    outcomes: tuple[str, ...] = attrs.field(default=(RESULT,))
    behaviour: Behaviour = right
    forms: tuple[str, ...] = attrs.field(default=(ONCE, ALWAYS), kw_only=True)
    passes: bool = attrs.field(default=True, kw_only=True)
    left: bool = attrs.field(default=True, kw_only=True)
    taken: bool = attrs.field(default=True, kw_only=True)
    way: Way = attrs.field(default=ways.plain, kw_only=True)
    tls: bool = attrs.field(default=False, kw_only=True)
    warm: Behaviour | None = attrs.field(default=None, kw_only=True)
    restarts: bool = attrs.field(default=False, kw_only=True)
    crowded: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    timing: Timing = attrs.field(default=AMPLE, kw_only=True)

    def expected(self, form: str, *, repeatable: bool, load: int) -> set[str]:
        """Return the possible outcomes of a call."""
        recovers = form == ONCE and self.passes and (repeatable or not self.left)
        return {*((RESULT,) if recovers else self.outcomes), *(self.crowded if load > 1 else ())}


HANGS = Timing(0.3, 0.12)
PATIENT = Timing(30.0, 30.0, 0.2)  # most waits outlast a restart, so that the retry budget suffices
WAITS = Timing(1.6, 1.6)  # enough for one wait of a second, but not for two
FLOODS = Timing(1.0, 1.0)  # a busy machine may not read all of it in time

FAULTS = (
    # --- network ---
    Fault(
        "connection refused for a moment",
        way=ways.nobody_there,
        left=False,
        forms=(ONCE,),
        timing=PATIENT,
    ),
    Fault("connection refused", (LOST,), way=ways.nobody_there, left=False, forms=(ALWAYS,)),
    Fault("DNS failure", (LOST,), way=ways.unresolved(silent=False), left=False),
    Fault(
        "DNS silence",
        (SLOW,),
        way=ways.unresolved(silent=True),
        left=False,
        forms=(ALWAYS,),
        timing=HANGS,
    ),
    Fault(
        "TLS: untrusted certificate",
        (UNTRUSTED,),
        passes=False,
        way=ways.untrusted,
        left=False,
        tls=True,
        forms=(ALWAYS,),
    ),
    Fault("TLS: no handshake", (SLOW,), way=ways.no_tls, left=False, forms=(ALWAYS,), timing=HANGS),
    Fault("proxy, plain", way=ways.through_proxy(), forms=(ALWAYS,)),
    Fault("proxy, tunnel", way=ways.through_proxy(tunnel=True), tls=True, forms=(ALWAYS,)),
    Fault(
        "proxy refuses the tunnel",
        (LOST,),
        way=ways.through_proxy(tunnel=True, refuses=True),
        tls=True,
        left=False,
    ),
    Fault(
        "proxy breaks off the response",
        (LOST,),
        way=ways.through_proxy(breaks=True),
        crowded=(RESULT,),
    ),
    Fault(
        "reset behind a proxy's tunnel",
        (LOST,),
        reset,
        way=ways.through_proxy(tunnel=True),
        tls=True,
    ),
    # --- connections that end ---
    Fault("reset before the headers", (LOST,), reset),
    Fault("closed before the headers", (LOST,), close),
    Fault("reset in the headers", (LOST,), broken_off_after(0.05, by_reset=True)),
    Fault("reset in the body", (LOST,), broken_off_after(0.6, by_reset=True)),
    Fault("truncated body", (LOST,), broken_off_after(0.99, by_reset=False)),
    Fault("idle connection closed", (RESULT, LOST), warm=respond_and_close, forms=(ALWAYS,)),
    Fault("idle connection closed as the request comes", (LOST,), close, warm=right, taken=False),
    Fault(
        "restart in the middle of load",
        (RESULT, LOST),
        restarts=True,
        forms=(ONCE,),
        timing=PATIENT,
    ),
    # --- invalid responses ---
    Fault(
        "broken JSON",
        (UNCLEAR,),
        http_response(b'{"id": "inv_1", "sta'),
        passes=False,
        forms=(ONCE,),
    ),
    Fault(
        "HTML in a 200",
        (UNCLEAR,),
        http_response(b"<html>Welcome</html>", headers={"Content-Type": "text/html"}),
        passes=False,
        forms=(ONCE,),
    ),
    Fault("JSON under a wrong content type", (RESULT,), wrong_type, forms=(ALWAYS,)),
    Fault("gzip that is none", (LOST,), http_response(b"{}", headers={"Content-Encoding": "gzip"})),
    Fault(
        "a 200 that holds an error",
        (REFUSED,),
        http_response(error_body("X")),
        passes=False,
        forms=(ONCE,),
        taken=False,
    ),
    # --- responses that do not end ---
    Fault(
        "endless body",
        (UNCLEAR,),
        endless(CHUNKED, b"10000\r\n" + b" " * 65_536 + b"\r\n"),
        passes=False,
        forms=(ONCE,),
        crowded=(SLOW,),
        timing=FLOODS,
    ),
    Fault(
        "300 KB that unpack to 300 MB",
        (UNCLEAR,),
        bomb,
        passes=False,
        forms=(ONCE,),
        crowded=(SLOW,),
        timing=FLOODS,
    ),
    Fault(
        "endless headers",
        (UNCLEAR,),
        endless(HEAD, b"X-More: and more\r\n" * 100),
        passes=False,
        forms=(ONCE,),
        crowded=(SLOW,),
    ),
    Fault(
        "endless header line",
        (UNCLEAR,),
        endless(HEAD + b"X-More: ", b"and more " * 1000),
        passes=False,
        forms=(ONCE,),
        crowded=(SLOW,),
    ),
    Fault(
        "slow drip of headers",
        (SLOW,),
        endless(HEAD, b"X: y\r\n", pause=0.05),
        crowded=(SLOW,),
        timing=HANGS,
    ),
    Fault(
        "slow drip of the body",
        (SLOW,),
        endless(CHUNKED, b"1\r\n \r\n", pause=0.02),
        crowded=(SLOW,),
        timing=HANGS,
    ),
    Fault("silence", (SLOW,), silence, crowded=(SLOW,), timing=HANGS),
    Fault(
        "endless informational replies",
        (LOST,),
        endless(b"", EARLY_HINTS * 100, pause=0.002),
        forms=(ONCE,),
    ),
    Fault("fifty informational replies", (RESULT,), informed(50), forms=(ALWAYS,)),
    # --- refusals ---
    Fault(
        "429, Retry-After: 1",
        (LIMITED,),
        refusal(429, {"Retry-After": "1"}),
        taken=False,
        crowded=(LIMITED, SLOW),
        timing=WAITS,
    ),
    Fault(
        "429, Retry-After: a date",
        (LIMITED,),
        limited_until_a_date,
        forms=(ONCE,),
        taken=False,
        crowded=(LIMITED, SLOW),
        timing=WAITS,
    ),
    Fault(
        "429 without Retry-After",
        (LIMITED,),
        refusal(429),
        taken=False,
        crowded=(LIMITED, SLOW),
        timing=WAITS,
    ),
    Fault(
        "429, Retry-After: soon",
        (LIMITED,),
        refusal(429, {"Retry-After": "soon"}),
        forms=(ONCE,),
        taken=False,
        crowded=(LIMITED, SLOW),
        timing=WAITS,
    ),
    Fault(
        "429, Retry-After: 99999999999",
        (LIMITED,),
        refusal(429, {"Retry-After": "99999999999"}),
        passes=False,
        forms=(ONCE,),
        taken=False,
        crowded=(LIMITED, SLOW),
        timing=WAITS,
    ),
    Fault("408", (REFUSED,), refusal(408), taken=False),
    Fault("425", (REFUSED,), refusal(425), taken=False),
    Fault("500", (FAILED,), refusal(500)),
    Fault("502", (FAILED,), refusal(502)),
    Fault("503", (FAILED,), refusal(503), taken=False),
    Fault("504", (FAILED,), refusal(504)),
)
