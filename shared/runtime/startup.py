"""The first steps of every process: its settings, and its log."""

from __future__ import annotations

from shared.runtime.logging import configure_logging
from shared.settings import Settings


def start_process(name: str) -> Settings:
    """Reads the settings, configures logging under the name of the process, and returns the settings.

    Raises pydantic.ValidationError for a setting with a wrong value.
    """
    settings = Settings()
    configure_logging(name)
    return settings
