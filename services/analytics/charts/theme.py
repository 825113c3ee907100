"""Colors and type of all pictures."""

from __future__ import annotations

INK, MUTED, RULE, GROUND = "#17212b", "#55616d", "#d9dfe5", "#f3f6f8"
SHADE = "#e6e1d6"
ACCENT, TINT, SECOND = "#0f6674", "#d8eaec", "#a8480f"
FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, 'Source Sans Pro', sans-serif"
"""The family before the last one is that of PNG files."""
