"""Broker and result backend of Celery in files that appear complete.

Celery's own write each file in place: a reader that comes too early loses the message.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery.backends.filesystem import FilesystemBackend
from kombu.transport import filesystem


class Channel(filesystem.Channel):
    """Channel that writes into a folder of its process, and then moves the message."""

    @property
    def data_folder_out(self) -> str:
        folder = Path(self.data_folder_in, f"of-{os.getpid()}")
        folder.mkdir(exist_ok=True)
        return str(folder)

    def _put(self, queue: str, payload: Any, **options: Any) -> None:  # type: ignore[override]
        super()._put(queue, payload, **options)  # type: ignore[no-untyped-call]
        for message in Path(self.data_folder_out).iterdir():
            message.replace(Path(self.data_folder_in, message.name))


class Transport(filesystem.Transport):
    Channel = Channel


class Backend(FilesystemBackend):
    """Backend that moves a complete result to its place."""

    def set(self, key: bytes, value: Any) -> None:
        super().set(b"new-" + key, value)
        Path(os.fsdecode(self._filename(b"new-" + key))).replace(os.fsdecode(self._filename(key)))
