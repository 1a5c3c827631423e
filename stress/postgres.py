"""Private PostgreSQL servers, on Unix sockets or also on loopback."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

FAST = ("fsync=off", "full_page_writes=off", "autovacuum=off")
"""Settings of a server whose files nobody needs after a power cut."""

# PostgreSQL and pgbouncer refuse to run as root.
_AS_USER: dict[str, Any] = (
    {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
)
_BOUNCER = """\
[databases]
* = host={folder} user=postgres
[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = {folder}
auth_type = any
pool_mode = transaction
default_pool_size = 4
max_client_conn = 500
logfile = {folder}/pgbouncer.log
pidfile = {folder}/pgbouncer.pid
"""


def find(program: str) -> str | None:
    """Return the path of a program of PostgreSQL, which Debian keeps out of the search path."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", *map(str, folders)])
    return shutil.which(program, path=path)


def run(program: str, *arguments: object) -> None:
    """Run a program of PostgreSQL as a user other than root; raise SystemExit if it fails."""
    path = find(program)
    if path is None:
        raise SystemExit(f"{program} is not installed (Debian: postgresql, pgbouncer)")
    command = [path, *map(str, arguments)]
    with tempfile.TemporaryFile("w+") as output:  # a server keeps the file open: a pipe would hang
        done = subprocess.run(
            command, stdout=output, stderr=output, cwd="/", check=False, **_AS_USER
        )
        output.seek(0)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}: {output.read()}")


@attrs.define
class Cluster:
    """PostgreSQL server with files of its own.

    Attributes:
        folder: The folder of its files and its socket.
        settings: The settings, as `name=value`.
        port: The port on loopback, or None for the Unix socket alone.
    """

    folder: Path
    settings: tuple[str, ...] = ()
    port: int | None = None

    @property
    def dsn(self) -> str:
        """Connection string by its Unix socket."""
        return f"host={self.folder} port={self.port or 5432} user=postgres dbname=postgres"

    def create(self) -> None:
        """Create the files of an empty server."""
        own(self.folder)
        options = ("-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync")
        run("initdb", "-D", self.folder / "data", *options)

    def create_replica_of(self, primary: Cluster) -> None:
        """Create the files of a streaming replica of a running server."""
        own(self.folder)
        run("pg_basebackup", "-d", primary.dsn, "-D", self.folder / "data", "-R", "-c", "fast")

    def start(self) -> None:
        """Start the server, and wait until it accepts connections."""
        settings = [f"unix_socket_directories={self.folder}", "max_connections=200", *self.settings]
        settings.append(f"listen_addresses={'127.0.0.1' if self.port else ''}")
        options = f"-p {self.port or 5432} " + " ".join(f"-c '{setting}'" for setting in settings)
        self._control("start", "-l", self.folder / "log", "-o", options)

    def stop(self) -> None:
        """Stop the server at once, without a last write to the disk."""
        self._control("stop", "-m", "immediate")

    def promote(self) -> None:
        """Make a replica a primary."""
        self._control("promote")

    def _control(self, action: str, *options: object) -> None:
        run("pg_ctl", "-D", self.folder / "data", "-w", *options, action)

    def start_bouncer(self) -> None:
        """Start a pgbouncer in transaction mode, with its socket in the folder, unless it runs."""
        settings, ready = self.folder / "pgbouncer.ini", self.folder / "pgbouncer.pid"
        if not settings.exists():
            settings.write_text(_BOUNCER.format(folder=self.folder))
            run("pgbouncer", "-d", settings)
            while not ready.exists():  # it binds its socket before that, in the background
                time.sleep(0.01)


def own(folder: Path) -> None:
    """Create a folder for the user that runs PostgreSQL."""
    folder.mkdir(exist_ok=True)
    if _AS_USER:
        shutil.chown(folder, _AS_USER["user"], _AS_USER["group"])


@contextmanager
def temporary(*names: str) -> Iterator[list[Path]]:
    """Create a folder for each name, short enough for sockets; stop servers there at the end."""
    root = Path(tempfile.mkdtemp(prefix="paychainhq-"))
    root.chmod(0o755)
    folders = [root / name for name in names]
    try:
        yield folders
    finally:
        for folder in folders:
            if (folder / "data" / "postmaster.pid").exists():
                Cluster(folder).stop()
        shutil.rmtree(root)
