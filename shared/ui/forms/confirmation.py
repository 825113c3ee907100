"""Confirmations: a fact that is recorded only after a page has shown what it stops, or that an equal one stands.

The page carries a digest of the answers and of the version of the record that it showed. Other answers, and a record
that has changed, are shown anew. It protects against haste, not against an attacker, who can compute the digest too.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from secrets import compare_digest

from shared.ui.forms.entries import PostedForm
from shared.ui.forms.reading import FormReading
from shared.ui.forms.targets import FormTarget
from shared.validation.json_parsing import canonical_json

CHECK_HINT = "Check first: the page then shows what this stops, and has the button that records it."
NOT_RECORDED = "Nothing was recorded yet. See what this stops, and record it if that is right."


def answers_digest(form: PostedForm, body: object, versions: Sequence[str] = ()) -> str:
    """Returns the digest of answers under the key of their form, and of the versions of the records they are added to.

    `versions`: those of several records; the form's own version is always part of it.
    """
    parts = [form.key, form.version, *versions]
    return sha256(b"\n".join([*(part.encode() for part in parts), canonical_json(body)])).hexdigest()


def is_confirmed(form: PostedForm, digest: str) -> bool:
    """Returns whether the page that was sent has shown the answers of this digest."""
    return compare_digest(digest.encode(), form.checked_digest.encode())


def lacks_check(target: FormTarget, form: PostedForm, reading: FormReading | None) -> bool:
    """Returns whether the answers, as they are now, have to be shown in a check before they are recorded."""
    if not target.form.requires_check:
        return False
    return reading is None or not is_confirmed(form, answers_digest(form, reading.body))
