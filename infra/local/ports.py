"""Chooses loopback ports that stay the same over restarts if possible."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"
FIRST_PORT, LAST_PORT = 20_000, 32_000  # below the ephemeral ports of outgoing connections


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as the servers do, so that TIME_WAIT is no obstacle
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def free_port() -> int:
    while not is_free(port := FIRST_PORT + secrets.randbelow(LAST_PORT - FIRST_PORT)):
        pass
    return port


def persistent_port(port_file: Path) -> int:
    """Returns the port in `port_file` if it is still free, else another one, which is written to the file."""
    text = port_file.read_text().strip() if port_file.exists() else ""
    if text.isdigit() and is_free(int(text)):
        return int(text)
    port = free_port()
    port_file.write_text(f"{port}\n")
    return port
