"""The example of the guide for readers of Kafka is run as it is printed, on the demo's own broker."""

from __future__ import annotations

import asyncio
import re
from typing import Any
from uuid import UUID

import pytest

from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as followup
from tests.api.support.study import StudyUnderTest, demo_environment, find_event_id, open_study
from tests.demo import Demo
from tests.readme import CHECKOUT

GUIDE = (CHECKOUT / "docs" / "guides" / "reading-kafka.md").read_text("utf-8")
(EXAMPLE,) = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def example() -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "example"}
    exec(compile(EXAMPLE, "reading-kafka.md", "exec"), namespace)  # noqa: S102 - it is what people copy
    return namespace


async def follow_until(example: dict[str, Any], demo: Demo, copy: Any, expected_versions: dict[Any, int]) -> None:
    bootstrap = demo_environment(demo)["KAFKA_BOOTSTRAP"]
    following = asyncio.create_task(example["follow"](bootstrap, f"reader-{id(copy)}", copy))
    try:
        async with asyncio.timeout(60):
            while any(copy.versions.get(stream, 0) < version for stream, version in expected_versions.items()):
                assert not following.done(), following.exception()
                await asyncio.sleep(0.05)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def test_example_reader_keeps_current_facts_and_excluded_participants(
    demo: Demo, example: dict[str, Any]
) -> None:
    with open_study(demo) as study:
        participant = study.enroll_at(
            "rome",
            facts.lesion_registered("L1"),
            facts.lesion_registered("L2"),
            facts.procedure_performed(detail="Sealed."),
        )
        first, second = _lesion_event_ids(study, participant)
        assert (
            study.record_fact(participant, facts.correction(UUID(first), facts.lesion_registered("L1", 7))).status_code
            == 201
        )
        assert study.record_fact(participant, facts.correction(UUID(second), None)).status_code == 201
        assert study.record_fact(participant, followup.follow_up_recorded(40)).status_code == 201
        withdrawn, reinstated = study.enroll_at("rome"), study.enroll_at("milan")
        assert study.record_fact(withdrawn, facts.consent_withdrawn(20, scope="data_use")).status_code == 201
        assert study.record_fact(reinstated, facts.participant_voided(), "site@milan").status_code == 201
        voided = find_event_id(study, reinstated, "participant.voided", user="site@milan")
        assert study.record_fact(reinstated, facts.correction(UUID(voided), None), "site@milan").status_code == 201
        enrollment_source, followup_source = (
            f"/studies/{study.study_id}/{name}" for name in ("enrollment", "followup")
        )
        streams = {
            (enrollment_source, participant): 8,
            (followup_source, participant): 1,
            (enrollment_source, withdrawn): 4,
            (enrollment_source, reinstated): 5,
        }
        copy = _copy_of_study(example, study.study_id)
        await follow_until(example, demo, copy, streams)
        expected_facts = study.get(f"participants/{participant}", "investigator").json()["facts"]
        copied_facts = copy.facts[enrollment_source, participant]
        assert copied_facts == {fact["event_id"]: (fact["type"], fact["data"]) for fact in expected_facts}
        excluded = {participant_id for study_id, participant_id in copy.excluded() if study_id == study.study_id}
        assert excluded == {withdrawn}


def _copy_of_study(example: dict[str, Any], study_id: str) -> Any:
    """The example's copy, of one study: other tests leave gaps and broken messages on the topics."""
    copy = example["Copy"]()
    take = copy.take

    def take_of_study(headers: dict[str, str], value: bytes) -> None:
        if headers.get("ce_source", "").startswith(f"/studies/{study_id}/"):
            take(headers, value)

    copy.take = take_of_study
    return copy


def _lesion_event_ids(study: StudyUnderTest, person: str) -> list[str]:
    events = study.get(f"participants/{person}/history").json()["events"]
    return [event["event_id"] for event in events if event["type"] == "lesion.registered"]


def test_example_reader_skips_a_duplicate_and_stops_at_a_gap(example: dict[str, Any]) -> None:
    copy = example["Copy"]()
    headers = {
        "ce_source": "/studies/s/enrollment",
        "ce_subject": "K7F2-9QXA-3",
        "ce_type": "quartal.participant.enrolled",
        "ce_streamversion": "1",
        "ce_id": "a",
    }
    copy.take(headers, b'{"enrolled_on": "2024-03-06"}')
    copy.take(headers, b'{"enrolled_on": "2024-03-07"}')
    (current_fact,) = copy.facts["/studies/s/enrollment", "K7F2-9QXA-3"].values()
    assert current_fact == ("participant.enrolled", {"enrolled_on": "2024-03-06"})
    with pytest.raises(RuntimeError, match="version 2"):
        copy.take({**headers, "ce_streamversion": "3"}, b"{}")


async def test_asyncapi_document_names_the_broker(demo: Demo) -> None:
    with open_study(demo) as study:
        servers = study.http.get("/asyncapi.json").json()["servers"]
    assert {server["host"] for server in servers.values()} == {demo_environment(demo)["KAFKA_BOOTSTRAP"]}
