"""Types of the functions by which long work asks for tokens and reports how far it is."""

from __future__ import annotations

from collections.abc import Callable

TokenFor = Callable[[str, str | None], str]
"""(role, site id or None for a study-wide role) to a bearer token; called for every request, for tokens expire."""
Report = Callable[[str], None]
"""Takes one sentence for people."""
ReportProgress = Callable[[int, int], None]
"""Takes how many are done, and of how many."""
