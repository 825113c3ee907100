"""Free text about a person is for its own site: no other caller gets it from any route."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import httpx
import pytest

from shared.kernel.errors import ReferenceInUse
from shared.testing.builders import facts
from tests.api.support.study import (
    ALL_USERS,
    ROME_USER,
    STUDY_WIDE_READERS,
    StudyUnderTest,
    body,
    demo_environment,
    open_study,
    users_of_site,
)
from tests.conftest import read_topic
from tests.demo import Demo

SECRETS = tuple(f"Zq{name}Xw-{index}" for index, name in enumerate(("Reference", "Waiver", "Reason", "Detail", "Tnm")))
REFERENCE, WAIVER, REASON, DETAIL, STAGE = SECRETS
OTHER_REFERENCE = "Xq-reference of Rome"  # no participant number, no identifier can hold it


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        yield study


@pytest.fixture(scope="module")
def rome_participant(study: StudyUnderTest) -> str:
    """A participant at Rome with every kind of sealed text."""
    participant_id = study.register(
        facts.participant_screened(
            local_reference=REFERENCE,
            criteria={"histology": "met", "rt-indicated": "waived"},
            waivers={"rt-indicated": WAIVER},
        ),
        facts.consent_signed(),
        facts.participant_enrolled(),
        facts.baseline_recorded(tnm={"t": {"not_reported": STAGE}, "n": "N1b", "m": "M1"}),
        facts.procedure_performed(detail=DETAIL),
        facts.lesion_registered(),
        facts.radiotherapy_started(),
    )
    assert study.record_fact(participant_id, facts.consent_withdrawn(9, reason=REASON)).status_code == 201
    return participant_id


READS = (
    ("enrollment", ""),
    ("enrollment", "participants"),
    ("enrollment", "participants/{}"),
    ("enrollment", "participants/{}/history"),
    ("enrollment", "facts"),
    ("analytics", "position"),
    ("analytics", "figures"),
    ("analytics", "figures/flow.json"),
    ("analytics", "figures/accrual.csv"),
    ("analytics", "figures/flow.svg"),
    ("analytics", "figures/treatments.json"),
)


def sealed_texts_in(response: httpx.Response) -> set[str]:
    return {text for text in SECRETS if text in response.text or text in str(response.headers)}


def test_site_reads_its_own_sealed_texts(study: StudyUnderTest, rome_participant: str) -> None:
    for user in users_of_site("rome"):
        for path in (f"participants/{rome_participant}", f"participants/{rome_participant}/history"):
            assert sealed_texts_in(study.get(path, user)) == set(SECRETS)


def test_correction_reason_is_not_shown_as_the_reason_of_the_fact(study: StudyUnderTest) -> None:
    participant_id = study.enroll_at("rome")
    event = study.record_fact(participant_id, facts.consent_withdrawn(9, reason=REASON)).json()["event_id"]
    restatement = facts.correction(UUID(event), facts.consent_withdrawn(8), reason=WAIVER)
    assert study.record_fact(participant_id, restatement).status_code == 201
    (current_fact,) = (
        fact["data"]
        for fact in study.get(f"participants/{participant_id}").json()["facts"]
        if fact["type"] == "participant.withdrawn"
    )
    assert (current_fact["withdrawn_on"], current_fact["reason"]) == (
        body(facts.consent_withdrawn(8))["withdrawn_on"],
        None,
    )
    correction = study.get(f"participants/{participant_id}/history").json()["events"][-1]["data"]
    assert (correction["reason"], correction["replacement"]["data"]["reason"]) == (WAIVER, None)


def test_sealed_texts_are_returned_to_no_other_caller(study: StudyUnderTest, rome_participant: str) -> None:
    study.wait_for_analytics()
    for user in (*ALL_USERS, "nobody"):
        for service, path in READS:
            response = study.http.get(
                study.address(path.format(rome_participant), service), headers=study.authorization(user)
            )
            if user not in users_of_site("rome") or service == "analytics":
                assert sealed_texts_in(response) == set(), (user, path)


def test_error_responses_quote_no_sealed_text(study: StudyUnderTest, rome_participant: str) -> None:
    responses = [
        study.record_fact(rome_participant, fact)
        for fact in (facts.participant_screened(local_reference=REFERENCE), facts.consent_withdrawn(9))
    ]
    responses.append(study.post("participants", body(facts.participant_screened(local_reference=REFERENCE))))
    assert [response.status_code for response in responses] == [422, 422, 409]
    assert [sealed_texts_in(response) for response in responses] == [set()] * 3


async def test_sealed_texts_are_not_published_to_kafka(study: StudyUnderTest, rome_participant: str) -> None:
    study.wait_for_analytics()
    records = await read_topic(demo_environment(study.demo)["KAFKA_BOOTSTRAP"], "quartal.enrollment.v1")
    participant_records = [record for record in records if rome_participant.encode() in (record.key or b"")]
    assert len(participant_records) == 8
    for record in participant_records:
        message_bytes = b"\n".join([record.key, record.value, *(part for _, part in record.headers)])
        assert not [text for text in SECRETS if text.encode() in message_bytes]


def test_logs_contain_neither_sealed_texts_nor_tokens(study: StudyUnderTest, rome_participant: str) -> None:
    study.wait_for_analytics()
    token = study.authorization(ROME_USER)["Authorization"].partition(" ")[2]
    study.http.get(study.address(f"participants/{rome_participant}"), headers={"Authorization": f"Bearer {token}"})
    logs = [path for path in study.demo.data.rglob("*.log") if path.is_file()]
    assert {"web.log", "enrollment.log", "analytics.log"} <= {path.name for path in logs}
    for path in logs:
        content = path.read_bytes()
        assert not [text for text in (*SECRETS, token) if text.encode() in content], path


def test_local_reference_is_found_only_by_its_own_site(study: StudyUnderTest, rome_participant: str) -> None:
    search = {"local_reference": f"  {REFERENCE.lower()} "}
    for user in users_of_site("rome"):
        response = study.post("participants/search", search, user)
        assert (response.status_code, [row["participant_id"] for row in response.json()["rows"]]) == (
            200,
            [rome_participant],
        )
    for user in users_of_site("milan"):
        assert study.post("participants/search", search, user).json() == {"rows": []}
    for user in (*STUDY_WIDE_READERS, "administrator", "reader"):
        assert study.post("participants/search", search, user).status_code == 403
    assert study.post("participants/search", search, "nobody").status_code == 404
    before = study.get(f"participants/{rome_participant}").json()["version"]
    for invalid_search in ({}, {"local_reference": ""}, {**search, "site": "rome"}, {"local_reference": 7}, [search]):
        assert study.post("participants/search", invalid_search).status_code == 422
    assert study.post("participants/search?dry_run=true", search).status_code == 422
    assert study.get(f"participants/{rome_participant}").json()["version"] == before


def test_local_reference_is_rejected_in_urls(study: StudyUnderTest, rome_participant: str) -> None:
    for user in (*ALL_USERS, "nobody"):
        for path in ("participants", f"participants/{rome_participant}", "facts"):
            response = study.get(path, user, local_reference=REFERENCE)
            if path == "participants":
                assert (response.status_code, response.json()["type"]) == (422, "/problems/parameter")
            assert REFERENCE not in response.text or user in users_of_site("rome")


def test_local_reference_in_use_is_refused_without_naming_the_participant(study: StudyUnderTest) -> None:
    first = study.register(facts.participant_screened(local_reference="Zw-12"))
    second = body(facts.participant_screened(local_reference="zW-12"))
    assert study.post("participants?dry_run=true", second).status_code == 409
    response = study.post("participants", second)
    assert response.status_code == 409
    assert response.json() == {
        "type": "/problems/already-registered",
        "title": ReferenceInUse.title,
        "status": 409,
        "errors": [
            {
                "code": "already-registered",
                "message": ReferenceInUse.title,
                "pointer": "",
            }
        ],
    }
    assert first not in str(response.headers)
    assert (
        study.register(facts.participant_screened(site_id="milan", local_reference="Zw-12"), user="site@milan") != first
    )


def test_new_site_sees_a_transferred_participant_without_the_old_sites_texts(study: StudyUnderTest) -> None:
    treatment_facts = (
        facts.lesion_registered(),
        facts.radiotherapy_started(),
        facts.procedure_performed(detail=DETAIL),
    )
    participant_id = study.enroll_at("rome", *treatment_facts, local_reference=OTHER_REFERENCE)
    assert study.record_fact(participant_id, facts.participant_transferred("milan", 9)).status_code == 201
    for path in (f"participants/{participant_id}", f"participants/{participant_id}/history"):
        assert study.get(path).status_code == 404
        new_site_response = study.get(path, "site@milan")
        assert "lesion.registered" in new_site_response.text
        assert OTHER_REFERENCE not in new_site_response.text
        assert sealed_texts_in(new_site_response) == set()
    assert study.record_fact(participant_id, facts.lesion_registered("L2")).status_code == 404
    assert participant_id not in study.get("facts", limit=1000).text
    assert study.post("participants/search", {"local_reference": OTHER_REFERENCE}).json()["rows"] == []
    assert (
        study.record_fact(
            participant_id, facts.procedure_performed(12, detail="said in Milan"), "site@milan"
        ).status_code
        == 201
    )
    for path in (f"participants/{participant_id}", f"participants/{participant_id}/history", "facts"):
        new_site_page = study.get(path, "site@milan")
        assert ("said in Milan" in new_site_page.text, sealed_texts_in(new_site_page)) == (True, set())
    study.wait_for_analytics()
    for user, is_visible in (("site@rome", False), ("site@milan", True), ("investigator", True)):
        assert (participant_id in study.get_analytics("figures/treatments.json", user).text) is is_visible, user
