"""Bodies of at most 1 MiB that cost a server more than they cost their sender."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from shared.terminology import ctcae

MIB = 1024 * 1024
ASSESSMENT = {"assessed_on": "2024-02-01", "timepoint": "follow_up", "checklist_complete": True}
FINDING = {"term": "3.0:0150", "grade": 1}
GRADED_TERMS = [{"term": term, "grade": 0} for term in list(ctcae.load_dictionary("ctcae-3.0").terms)[:50]]
Body = Callable[[], bytes]


def encode_json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def assessment_body(findings: bytes) -> bytes:
    """Returns an assessment whose findings are this text."""
    return encode_json(ASSESSMENT)[:-1] + b',"findings":' + findings + b"}"


def fill_body(beginning: bytes, unit: bytes, end: bytes, size: int = MIB) -> bytes:
    """Returns a body of nearly `size` bytes with a beginning, an end, and a unit repeated between them."""
    return beginning + unit * ((size - len(beginning) - len(end)) // len(unit)) + end


def batch_body(data: Any, facts: int = 200) -> bytes:
    return encode_json([{"type": "toxicity.assessed", "data": data}] * facts)


FACT_BODIES: Mapping[str, Body] = {
    "60,000 wrong findings": lambda: assessment_body(b"[" + b'{"x":1},' * 59_999 + b'{"x":1}]'),
    "empty findings": lambda: assessment_body(fill_body(b"[", b"{},", b"{}]", MIB - 200)),
    "numbers": lambda: fill_body(b"[", b"0,", b"0]"),
    "empty texts": lambda: fill_body(b"[", b'"",', b'""]'),
    "lists side by side": lambda: fill_body(b"[", b"[],", b"[]]"),
    "lists of 400 lists": lambda: fill_body(b"[", b"[" + b"[]," * 399 + b"[]],", b"[]]"),
    "nested lists": lambda: b"[" * (MIB - 1),
    "nested lists, 40 deep, side by side": lambda: fill_body(b"[", b"[" * 39 + b"]" * 39 + b",", b"0]"),
    "nested objects": lambda: fill_body(b"", b'{"a":', b""),
    "one text": lambda: fill_body(b'{"assessed_on":"', b"a", b'"}'),
    "one text of other letters": lambda: fill_body(b'["', "\u00e9\u4e00".encode(), b'"]'),
    "one text of escapes": lambda: fill_body(b'["', b"\\u00e9", b'"]'),
    "a text without an end": lambda: fill_body(b'["', b'\\"', b""),
    "huge whole numbers": lambda: fill_body(b"[", b"9" * 4000 + b",", b"0]"),
    "one number": lambda: fill_body(b'{"findings":', b"9", b"}"),
    "a wide object": lambda: b"{" + b",".join(b'"%05x":0' % number for number in range(100_000)) + b"}",
    "findings with wrong attributions": lambda: assessment_body(
        b"[" + b",".join([b'{"attribution":[' + b",".join([b"{}"] * 450) + b"]}"] * 499) + b"]"
    ),
    "blanks": lambda: fill_body(b"{", b" ", b"}"),
}
"""Bodies of a request for one toxicity assessment."""

BATCH_BODIES: Mapping[str, Body] = {
    "200 facts of 400 undeclared members": lambda: batch_body({f"u{number}": 0 for number in range(400)}),
    "200 facts of 450 empty findings": lambda: batch_body({**ASSESSMENT, "findings": [{}] * 450}),
    "200 assessments of 50 findings": lambda: batch_body({**ASSESSMENT, "findings": [FINDING] * 50}),
    "200 assessments of 50 terms": lambda: batch_body({**ASSESSMENT, "findings": GRADED_TERMS}),
    "200 facts of 1 finding": lambda: batch_body({**ASSESSMENT, "findings": [FINDING]}),
    "200 facts without content": lambda: batch_body({}),
    "340,000 empty objects": lambda: fill_body(b"[", b"{},", b"{}]"),
}
"""Bodies of a request for several facts."""
