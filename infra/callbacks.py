"""Types of the functions by which long work asks for tokens and reports what it does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from shared.progress import ReportProgress

TokenFor = Callable[[str, str | None], str]
"""(role, site id or None for a study-wide role) to a bearer token; called for every request, for tokens expire."""
Report = Callable[[str], None]
"""Takes one sentence for people."""
ShowProgress = Callable[[str, str], AbstractContextManager[ReportProgress]]
"""(title, unit) to the display of one piece of work, which is open within the context."""
