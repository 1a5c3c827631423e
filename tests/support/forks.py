"""Source of programs that fork behind Python's back."""

from __future__ import annotations

SETTLE = """
def settle():
    \"\"\"Wait until the other threads are idle.

    A child whose parent had a thread that waited for the interpreter lock would hang in that lock.
    \"\"\"
    calm, before = 0, None
    while calm < 3:
        time.sleep(0.05)
        frames = sys._current_frames()
        now = {ident: (frames[ident].f_code, frames[ident].f_lasti) for ident in frames}
        now.pop(threading.get_ident())
        calm, before = (calm + 1 if now == before else 0), now
"""
