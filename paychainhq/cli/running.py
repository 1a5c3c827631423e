"""Run of a command: event loop, signals, and the exit code of an error."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable

import anyio
import click
from anyio.abc import TaskStatus

from paychainhq.cli.exit_codes import ExitCode
from paychainhq.errors import (
    AuthenticationError,
    ConfigurationError,
    InvalidArgumentError,
    PayChainError,
    PermissionDeniedError,
)


def run(job: Callable[[], Awaitable[int]], *, interrupted: str = "Interrupted.") -> int:
    """Run a job until its end, an error, SIGINT or SIGTERM, and return the exit code.

    Args:
        job: The job; it returns an exit code, and its `PayChainError`s become exit codes.
        interrupted: The message after a signal.
    """
    code = anyio.run(_run, job)
    if code is ExitCode.INTERRUPTED:
        click.echo(interrupted, err=True)
    return code


async def _run(job: Callable[[], Awaitable[int]]) -> int:
    code: int = ExitCode.INTERRUPTED
    failure: Exception | None = None
    async with anyio.create_task_group() as group:
        await group.start(_cancel_on_signal, group.cancel_scope)
        try:
            code = await job()
        except PayChainError as error:
            code = report(error)
        except Exception as error:  # noqa: BLE001 (raised below: a task group would wrap it)
            failure = error
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return code


async def _cancel_on_signal(
    scope: anyio.CancelScope, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
) -> None:
    # Installed explicitly: a shell starts its background jobs with SIGINT ignored.
    try:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            task_status.started()
            async for _ in signals:
                scope.cancel()
    except NotImplementedError:  # Windows: Ctrl-C raises KeyboardInterrupt
        task_status.started()


def report(error: PayChainError, *, mutates: bool = False) -> ExitCode:
    """Print an error, and return its exit code.

    Args:
        error: The error.
        mutates: Whether the request may have had an effect.
    """
    click.echo(f"paychainhq: {error}", err=True)
    if mutates and error.sent == "unknown":
        click.echo(advice(error.idempotency_key), err=True)
        return ExitCode.UNKNOWN
    if isinstance(error, (AuthenticationError, PermissionDeniedError)) or (
        isinstance(error, ConfigurationError) and not isinstance(error, InvalidArgumentError)
    ):
        return ExitCode.SETTINGS
    return ExitCode.FAILED


def advice(key: str | None) -> str:
    """Return the advice after a request that may have been executed."""
    if key is None:
        return "Nobody knows whether the request was executed, and it has no idempotency key."
    return (
        "Nobody knows whether the request was executed. To repeat it without a second effect: "
        f"--idempotency-key {key}"
    )
