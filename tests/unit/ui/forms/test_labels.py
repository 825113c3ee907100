"""Labels of fields by their names: what a page without the form calls an answer."""

from __future__ import annotations

import pytest

from shared.contracts.enrollment import ProcedurePerformed
from shared.ui.forms.fields import fact_fields
from shared.ui.forms.labels import field_label


def test_answers_have_the_labels_of_their_form() -> None:
    fields = fact_fields(ProcedurePerformed)
    labels = {member.name: member.presentation.label for member in fields.members}
    assert field_label(fields, "performed_on") == labels["performed_on"] != "performed_on"


@pytest.mark.parametrize(
    ("name", "label"), [("replacement.data.performed_on", "performed on"), ("answers.stage_iv", "answers stage iv")]
)
def test_names_without_a_label_are_read_as_words(name: str, label: str) -> None:
    assert field_label(None, name) == label
