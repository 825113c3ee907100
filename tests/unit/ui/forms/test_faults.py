"""Messages of the rules and the gate, as forms show them."""

from __future__ import annotations

import pytest

from services.enrollment.rules.treatment import COURSE_EXISTS
from services.followup.rules import LESION_NEEDED
from shared.contracts.follow_up import DiseaseProgressed
from shared.contracts.toxicity import ToxicityAssessed
from shared.contracts.treatment import RadiotherapyStarted
from shared.kernel.fact import Fact
from shared.ui.forms.faults import with_labels
from shared.ui.forms.fields import fact_fields


@pytest.mark.parametrize(
    ("fact", "message", "labeled_message"),
    [
        (
            DiseaseProgressed,
            LESION_NEEDED.message,
            'Local progression is the progression of a lesion. Give its "Lesion".',
        ),
        (
            RadiotherapyStarted,
            COURSE_EXISTS.message,
            'The participant has a course with this "Id of the course" already. Give another one.',
        ),
        (
            RadiotherapyStarted,
            "Two targets have the same target_id. Give each target of the course its own.",
            'Two targets have the same "Id of the target". Give each target of the course its own.',
        ),
        (
            ToxicityAssessed,
            "No line with this id has started. Check the id, or state systemic_therapy.started first.",
            "No line with this id has started. Check the id, or state systemic_therapy.started first.",
        ),
        (ToxicityAssessed, "Give the unknown_member.", "Give the unknown_member."),
    ],
)
def test_message_names_fields_by_their_labels(fact: type[Fact], message: str, labeled_message: str) -> None:
    """A person does not find a field by the name that it has in a request."""
    assert with_labels(message, fact_fields(fact)) == labeled_message
