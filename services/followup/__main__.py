"""Starts the processes of the followup service: `python -m services.followup api | worker | migrate`."""

from __future__ import annotations

from shared.runtime.service_process import participant_service_process

SERVICE_PROCESS = participant_service_process("followup")

if __name__ == "__main__":
    SERVICE_PROCESS.main()
