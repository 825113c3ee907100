"""`python -m infra.local.install`: installs Kafka, which no Python package contains. Safe to repeat."""

from __future__ import annotations

import sys

from infra.local.folder_lock import LockHeld
from infra.local.kafka import KafkaFailed, install_kafka
from infra.local.kafka_home import KafkaMissing


def print_line(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    try:
        install_kafka(print_line)
    except (LockHeld, KafkaFailed, KafkaMissing, OSError) as failure:
        print(f"Kafka could not be prepared: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
