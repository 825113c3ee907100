"""Facts that a person records only after a page has shown what they stop.

A form of such a fact carries a digest of the body that was checked. It protects against haste, not against an attacker:
whoever makes the request by hand can make the digest too.
"""

from __future__ import annotations

from hashlib import sha256
from secrets import compare_digest

from shared.ui.forms.entries import PostedForm
from shared.ui.forms.reading import FormReading
from shared.ui.forms.targets import FormTarget
from shared.validation.json_parsing import canonical_json

CHECK_FIRST = "Check first: the page then shows what this stops, and has the button that records it."
NOT_RECORDED = "Nothing was recorded yet. See what this stops, and record it if that is right."


def body_digest(form: PostedForm, reading: FormReading) -> str:
    """Returns the digest of a body under the key of its form: another form has another one."""
    return sha256(b"\n".join([form.key.encode(), canonical_json(reading.body)])).hexdigest()


def must_be_checked(target: FormTarget, form: PostedForm, reading: FormReading | None) -> bool:
    """Returns whether what the form says, as it is now, has to be shown in a check before it is recorded."""
    if not target.form.checked_first:
        return False
    return reading is None or not compare_digest(body_digest(form, reading).encode(), form.checked.encode())
