"""Visits as the page of several visits reads them from its address."""

from __future__ import annotations

import pytest

from services.followup.visit_facts import ChosenVisit
from shared.kernel.errors import ParameterRejected


@pytest.mark.parametrize(
    ("text", "visit"),
    [
        ("K7F2-9QXA-3.1", ChosenVisit("K7F2-9QXA-3", 1)),
        ("K7F2-9QXA-3.12.RT2", ChosenVisit("K7F2-9QXA-3", 12, "RT2")),
        ("K7F2-9QXA-3.1.rt.2-b", ChosenVisit("K7F2-9QXA-3", 1, "rt.2-b")),
    ],
)
def test_visit_is_written_as_it_is_read(text: str, visit: ChosenVisit) -> None:
    assert ChosenVisit.parse(text) == visit
    assert str(visit) == text


@pytest.mark.parametrize(
    "text",
    ["", "8J5M-42PZ-8", "8J5M-42PZ-8.0", "8J5M-42PZ-8.x", "K7F2-9QXA-4.1", "8J5M-42PZ-8.1.", "8J5M-42PZ-8.1. RT"],
)
def test_what_names_no_visit_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ParameterRejected) as refusal:
        ChosenVisit.parse(text)
    assert not text or text not in refusal.value.faults[0].message
