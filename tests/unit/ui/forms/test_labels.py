"""Labels of fields on a page that has no form."""

from __future__ import annotations

import pytest

from shared.contracts.enrollment import ParticipantScreened
from shared.contracts.treatment import RadiotherapyStarted
from shared.kernel.fact import Fact
from shared.ui.forms.fields import fact_fields
from shared.ui.forms.labels import label_of


@pytest.mark.parametrize(
    ("fact", "name", "label"),
    [
        (RadiotherapyStarted, "index", "Index course"),
        (RadiotherapyStarted, "targets.0.fractions", "Targets › 1 › Fractions"),
        (ParticipantScreened, "criteria.a.b", "Criteria › a.b"),
        (ParticipantScreened, "no_such_field", "No such field"),
        (None, "replacement.data.found_on", "Found on"),
    ],
)
def test_field_is_labeled_as_its_form_labels_it(fact: type[Fact] | None, name: str, label: str) -> None:
    assert label_of(fact_fields(fact) if fact else None, name) == label
