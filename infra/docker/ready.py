"""`python -m infra.docker.ready enrollment`: exits with code 0 if the service and its database answer."""

from __future__ import annotations

import os
import sys
from urllib.request import urlopen


def main() -> None:
    port, service = os.environ.get("QUARTAL_PORT", "8000"), sys.argv[1]
    with urlopen(f"http://127.0.0.1:{port}/{service}/health/ready", timeout=4):
        pass  # urlopen raises for any status but success


if __name__ == "__main__":
    main()
