"""Episodes: the facts that start, change and end them."""

from __future__ import annotations

import pytest

from services.analytics.cohort.episodes import EPISODE_ENDS, EPISODE_STARTS, LASTING_ENDS, LASTING_STARTS, episode_of
from shared.contracts.clinical_order import CLINICAL_ORDER
from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders.follow_up_facts import follow_up_recorded
from shared.testing.builders.toxicity_facts import serious_event_reported


@pytest.mark.parametrize(
    ("stated", "episode"),
    [
        ([facts.consent_signed(), facts.participant_enrolled()], ("enrollment", "")),
        (
            [facts.radiotherapy_started(), facts.prescription_changed(), facts.radiotherapy_completed()],
            ("course", "RT1"),
        ),
        ([facts.radiotherapy_discontinued(14, "RT2")], ("course", "RT2")),
        ([facts.systemic_therapy_started(), facts.systemic_therapy_stopped()], ("line", "S1")),
        ([serious_event_reported()], ("serious event", "SAE1")),
    ],
)
def test_facts_of_one_episode_share_its_id(stated: list[Fact], episode: tuple[str, str]) -> None:
    assert {episode_of(fact) for fact in stated} == {episode}


def test_contact_belongs_to_no_episode_even_if_it_names_a_course() -> None:
    assert episode_of(follow_up_recorded(course_id="RT1")) is None


def test_timelines_show_every_episode_but_the_enrollment_as_lasting() -> None:
    assert {start.type_name for start in set(EPISODE_STARTS) - set(LASTING_STARTS)} == {"participant.consented"}
    assert {end.type_name for end in set(EPISODE_ENDS) - set(LASTING_ENDS)} == {"participant.enrolled"}


def test_clinical_order_puts_the_start_of_each_lasting_episode_before_its_end() -> None:
    ranks = {fact_type: rank for rank, fact_type in enumerate(CLINICAL_ORDER)}
    assert max(ranks[start] for start in LASTING_STARTS[:2]) < min(ranks[end] for end in LASTING_ENDS)
    assert len(ranks) == len(CLINICAL_ORDER)
