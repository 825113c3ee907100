"""The first steps of every process: its settings, and its log."""

from __future__ import annotations

from shared.runtime.logging import configure_logging
from shared.settings import Settings


def start_process(name: str) -> Settings:
    """Read the settings, configure logging under the name of the process, and return the settings.

    Raises pydantic.ValidationError for a setting with a wrong value.
    """
    settings = Settings()
    configure_logging(name)
    return settings
