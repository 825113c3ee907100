"""A real Apache Kafka broker, one node in KRaft mode, without Docker."""

from __future__ import annotations

import base64
import tempfile
import uuid
from pathlib import Path
from types import TracebackType

from infra.callbacks import Report
from infra.local.child_process import Program, RunningProgram
from infra.local.folder_lock import hold_lock
from infra.local.kafka_home import KafkaHome, run_java
from infra.local.ports import LOOPBACK, free_port, persistent_port

_TAKEOVER_TIMEOUT_SECONDS = 25.0  # for the broker of a killed predecessor to shut down
_RECORDING_TIMEOUT_SECONDS = 180.0  # the recording is written when the broker ends
# The quorum's voter is written down here and not on disk, so the same data start on any port. The session timeout
# bounds a restart after SIGKILL (the old registration must expire: 3 s instead of 12 s); the small buffer of the
# cleaner and the two threads of each kind save about 100 MB. Without the record that a controller would write for its
# followers every half second, a broker at rest takes 1.8 % of a core in place of 3.0.
_PROPERTIES = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=5
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=5
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
metadata.max.idle.interval.ms=0
log.cleaner.dedupe.buffer.size=4194304
num.network.threads=2
num.io.threads=2
"""


class KafkaFailed(RuntimeError):
    """The broker did not start; the message ends with its log."""


def install_kafka(report: Report, home: KafkaHome | None = None) -> KafkaHome:
    """Downloads Kafka if it is missing, and records a first start so that later ones are fast. Safe to repeat.

    Raises KafkaMissing if the files cannot be downloaded or differ from `kafka.lock`.
    """
    home = home or KafkaHome()
    home.install(report)
    with home.record_start() as recording, tempfile.TemporaryDirectory(prefix="quartal-") as scratch:
        if recording:
            report("Starting Kafka once to make later starts faster (about 15 s)")
            with LocalKafka(Path(scratch), home=home, record_to=recording):
                pass
            report("Kafka is ready" if recording.exists() else "Kafka is ready, but starts in 2 s instead of 1 s")
    return home


class LocalKafka:
    """The broker of one folder. With `port` 0 it takes a free port, and keeps it over restarts while it stays free."""

    def __init__(
        self, folder: Path, port: int = 0, *, home: KafkaHome | None = None, record_to: Path | None = None
    ) -> None:
        self.folder = folder.absolute()
        self.log = self.folder / "kafka.log"
        self.port = port
        self._home = home or KafkaHome()
        self._has_fixed_port, self._record_to = bool(port), record_to
        self._running: RunningProgram | None = None

    @property
    def bootstrap(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def start(self) -> LocalKafka:
        """Starts the broker, after a predecessor that is still shutting down, and returns when it serves.

        Raises LockHeld if another broker holds the folder, KafkaMissing or KafkaFailed if it cannot start.
        """
        self.stop()  # removes the remains of a crash
        self._home.verify()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with hold_lock(self.folder / "lock", _TAKEOVER_TIMEOUT_SECONDS) as lock_descriptor:
            for _ in range(3):  # another process may take the port between its choice and its use
                properties = self._write_properties()
                self._format(properties)
                if self._launch(properties, lock_descriptor):
                    return self
        raise KafkaFailed(f"Kafka did not start:\n{self.log.read_text()[-2000:]}")

    def stop(self) -> None:
        if self._running:
            self._running.stop()
        self._running = None

    def kill(self) -> None:
        """Kills the broker with SIGKILL; a later `start` serves every acknowledged message."""
        if self._running:
            self._running.kill()
        self._running = None

    @property
    def has_crashed(self) -> bool:
        """Returns whether the broker ended without `stop` or `kill`."""
        return self._running is not None and self._running.has_ended

    def __enter__(self) -> LocalKafka:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _write_properties(self) -> Path:
        if not self._has_fixed_port:
            self.port = persistent_port(self.folder / "port")
        path = self.folder / "server.properties"
        data = self.folder / "data"
        path.write_text(_PROPERTIES.format(host=LOOPBACK, port=self.port, controller=free_port(), data=data))
        return path

    def _format(self, properties: Path) -> None:
        if not (self.folder / "data" / "meta.properties").exists():
            cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            cluster_option = f"--cluster-id={cluster}"  # one word, for the id may begin with a dash
            tool = self._home.command("kafka.tools.StorageTool", "format", cluster_option, "-c", properties)
            run_java(tool)

    def _launch(self, properties: Path, lock_descriptor: int) -> bool:
        argv = self._home.command("kafka.Kafka", properties, record_to=self._record_to)
        program = Program(argv, self.log, grace_seconds=_RECORDING_TIMEOUT_SECONDS if self._record_to else 15.0)
        program.rotate_log()
        start = self.log.stat().st_size if self.log.exists() else 0
        self._running = RunningProgram(program, (lock_descriptor,))
        if not self._running.wait_for_text(self.log, b"Kafka Server started", start, timeout_seconds=60.0):
            self.stop()
        return self._running is not None
