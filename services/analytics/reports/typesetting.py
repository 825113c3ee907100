"""Typesets a document by typst: from a template and data, with fonts that are shipped, to the same bytes everywhere.

Texts reach the template as JSON, and so are never read as markup. A template can read its own folder alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from pydantic import JsonValue

from services.analytics.reports.print_format import FONT, visible

_PROGRAM = Path(__file__).with_name("typesetting_program.py")
_SECONDS = 600.0


def typeset(template: str, content: Mapping[str, JsonValue], created_at: datetime) -> bytes:
    """Returns the PDF (PDF/UA-1, so tagged) of a template of this package; its dates are `created_at`.

    A character that no shipped font has is printed as its number, such as [U+4E2D]. It waits for another process.
    Raises CalledProcessError for a template or content that cannot be typeset, and TimeoutExpired.
    """
    task = {
        "template": template,
        "content": json.dumps(visible(dict(content)), ensure_ascii=False),
        "font": FONT,
        "created_at": created_at.isoformat(),
    }
    answer = subprocess.run(
        [sys.executable, "-I", str(_PROGRAM)],
        input=json.dumps(task).encode(),
        stdout=subprocess.PIPE,
        check=True,
        timeout=_SECONDS,
    )
    return answer.stdout
