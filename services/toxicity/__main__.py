"""Starts the processes of the toxicity service: `python -m services.toxicity api | worker | migrate`."""

from __future__ import annotations

from shared.runtime.service_process import participant_service_process

SERVICE_PROCESS = participant_service_process("toxicity")

if __name__ == "__main__":
    SERVICE_PROCESS.main()
