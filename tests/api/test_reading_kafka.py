"""The example of the guide for readers of Kafka is run as it is printed, on the demo's own broker."""

from __future__ import annotations

import asyncio
import re
from typing import Any
from uuid import UUID

import pytest

from shared.testing import facts
from shared.testing import followup_facts as followup
from tests.api.own_study import OwnStudy, environment, event_of, own_study
from tests.demo import Demo
from tests.readme import CHECKOUT

GUIDE = (CHECKOUT / "docs" / "guides" / "reading-kafka.md").read_text("utf-8")
(EXAMPLE,) = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def example() -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "example"}
    exec(compile(EXAMPLE, "reading-kafka.md", "exec"), namespace)  # noqa: S102 - it is what people copy
    return namespace


async def follow_until(example: dict[str, Any], demo: Demo, copy: Any, wanted: dict[Any, int]) -> None:
    bootstrap = environment(demo)["KAFKA_BOOTSTRAP"]
    following = asyncio.create_task(example["follow"](bootstrap, f"reader-{id(copy)}", copy))
    try:
        async with asyncio.timeout(60):
            while any(copy.versions.get(stream, 0) < version for stream, version in wanted.items()):
                assert not following.done(), following.exception()
                await asyncio.sleep(0.05)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def test_it_keeps_what_stands_and_knows_who_is_excluded(demo: Demo, example: dict[str, Any]) -> None:
    with own_study(demo) as study:
        person = study.at_site("rome", facts.lesion("L1"), facts.lesion("L2"), facts.procedure(detail="Sealed."))
        first, second = _lesions(study, person)
        assert study.state(person, facts.correction(UUID(first), facts.lesion("L1", 7))).status_code == 201
        assert study.state(person, facts.correction(UUID(second), None)).status_code == 201
        assert study.state(person, followup.contact(40)).status_code == 201
        gone, back = study.at_site("rome"), study.at_site("milan")
        assert study.state(gone, facts.withdrawn(20, scope="data_use")).status_code == 201
        assert study.state(back, facts.voided(), "site@milan").status_code == 201
        voided = event_of(study, back, "participant.voided", who="site@milan")
        assert study.state(back, facts.correction(UUID(voided), None), "site@milan").status_code == 201
        enrollment, elsewhere = (f"/studies/{study.study_id}/{name}" for name in ("enrollment", "followup"))
        streams = {(enrollment, person): 8, (elsewhere, person): 1, (enrollment, gone): 4, (enrollment, back): 5}
        copy = _of_study(example, study.study_id)
        await follow_until(example, demo, copy, streams)
        stands = study.get(f"participants/{person}", "investigator").json()["facts"]
        own = copy.facts[enrollment, person]
        assert own == {fact["event_id"]: (fact["type"], fact["data"]) for fact in stands}
        excluded = {number for study_id, number in copy.excluded() if study_id == study.study_id}
        assert excluded == {gone}


def _of_study(example: dict[str, Any], study_id: str) -> Any:
    """The example's copy, of one study: other tests leave gaps and broken messages on the topics."""
    copy = example["Copy"]()
    take = copy.take

    def take_of_study(headers: dict[str, str], value: bytes) -> None:
        if headers.get("ce_source", "").startswith(f"/studies/{study_id}/"):
            take(headers, value)

    copy.take = take_of_study
    return copy


def _lesions(study: OwnStudy, person: str) -> list[str]:
    events = study.get(f"participants/{person}/history").json()["events"]
    return [event["event_id"] for event in events if event["type"] == "lesion.registered"]


def test_a_duplicate_is_passed_over_and_a_gap_stops_it(example: dict[str, Any]) -> None:
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
    (stands,) = copy.facts["/studies/s/enrollment", "K7F2-9QXA-3"].values()
    assert stands == ("participant.enrolled", {"enrolled_on": "2024-03-06"})
    with pytest.raises(RuntimeError, match="version 2"):
        copy.take({**headers, "ce_streamversion": "3"}, b"{}")


async def test_the_document_names_the_broker(demo: Demo) -> None:
    with own_study(demo) as study:
        servers = study.http.get("/asyncapi.json").json()["servers"]
    assert {server["host"] for server in servers.values()} == {environment(demo)["KAFKA_BOOTSTRAP"]}
