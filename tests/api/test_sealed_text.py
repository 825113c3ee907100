"""Free text about a person is for its own site: nobody else gets it, by whatever way they ask."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import httpx
import pytest

from shared.kernel.refusal import AlreadyRegistered
from shared.testing import facts
from tests.api.own_study import (
    EVERYBODY,
    SITE,
    WHOLE,
    OwnStudy,
    body,
    environment,
    of_site,
    own_study,
)
from tests.conftest import everything_in
from tests.demo import Demo

SECRETS = tuple(
    f"Zq{name}Xw-{number}" for number, name in enumerate(("Reference", "Waiver", "Reason", "Detail", "Tnm"))
)
REFERENCE, WAIVER, REASON, DETAIL, STAGE = SECRETS
OTHERS = "Xq-reference of Rome"  # no participant number, no identifier can hold it


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[OwnStudy]:
    with own_study(demo) as opened:
        yield opened


@pytest.fixture(scope="module")
def roman(study: OwnStudy) -> str:
    """A participant at Rome with every kind of sealed text."""
    number = study.participant(
        facts.screened(
            local_reference=REFERENCE,
            criteria={"histology": "met", "rt-indicated": "waived"},
            waivers={"rt-indicated": WAIVER},
        ),
        facts.consented(),
        facts.enrolled(),
        facts.baseline(tnm={"t": {"not_reported": STAGE}, "n": "N1b", "m": "M1"}),
        facts.procedure(detail=DETAIL),
        facts.lesion(),
        facts.course(),
    )
    assert study.state(number, facts.withdrawn(9, reason=REASON)).status_code == 201
    return number


READS = (
    ("enrollment", ""), ("enrollment", "participants"), ("enrollment", "participants/{}"),
    ("enrollment", "participants/{}/history"), ("enrollment", "facts"), ("analytics", "position"),
    ("analytics", "figures"), ("analytics", "figures/flow.json"), ("analytics", "figures/accrual.csv"),
    ("analytics", "figures/flow.svg"), ("analytics", "figures/treatments.json"),
)  # fmt: skip


def sealed_in(answer: httpx.Response) -> set[str]:
    return {text for text in SECRETS if text in answer.text or text in str(answer.headers)}


def test_a_site_reads_its_own_sealed_text(study: OwnStudy, roman: str) -> None:
    for who in of_site("rome"):
        for path in (f"participants/{roman}", f"participants/{roman}/history"):
            assert sealed_in(study.get(path, who)) == set(SECRETS)


def test_the_reason_of_a_correction_is_not_shown_as_the_facts_own(study: OwnStudy) -> None:
    number = study.at_site("rome")
    event = study.state(number, facts.withdrawn(9, reason=REASON)).json()["event_id"]
    mended = facts.correction(UUID(event), facts.withdrawn(8), reason=WAIVER)
    assert study.state(number, mended).status_code == 201
    (shown,) = (
        fact["data"]
        for fact in study.get(f"participants/{number}").json()["facts"]
        if fact["type"] == "participant.withdrawn"
    )
    assert (shown["withdrawn_on"], shown["reason"]) == (body(facts.withdrawn(8))["withdrawn_on"], None)
    told = study.get(f"participants/{number}/history").json()["events"][-1]["data"]
    assert (told["reason"], told["replacement"]["data"]["reason"]) == (WAIVER, None)


def test_sealed_text_is_in_no_answer_to_anybody_else(study: OwnStudy, roman: str) -> None:
    study.position()
    for who in (*EVERYBODY, "nobody"):
        for service, path in READS:
            answer = study.http.get(study.address(path.format(roman), service), headers=study.bearer(who))
            if who not in of_site("rome") or service == "analytics":
                assert sealed_in(answer) == set(), (who, path)


def test_a_refusal_quotes_no_sealed_text(study: OwnStudy, roman: str) -> None:
    again = [study.state(roman, fact) for fact in (facts.screened(local_reference=REFERENCE), facts.withdrawn(9))]
    again.append(study.post("participants", body(facts.screened(local_reference=REFERENCE))))
    assert [answer.status_code for answer in again] == [422, 422, 409]
    assert [sealed_in(answer) for answer in again] == [set()] * 3


async def test_sealed_text_is_not_on_kafka(study: OwnStudy, roman: str) -> None:
    study.position()
    records = await everything_in(environment(study.demo)["KAFKA_BOOTSTRAP"], "quartal.enrollment.v1")
    told = [record for record in records if roman.encode() in (record.key or b"")]
    assert len(told) == 8
    for record in told:
        said = b"\n".join([record.key, record.value, *(part for _, part in record.headers)])
        assert not [text for text in SECRETS if text.encode() in said]


def test_neither_sealed_text_nor_tokens_are_in_the_logs(study: OwnStudy, roman: str) -> None:
    study.position()
    token = study.bearer(SITE)["Authorization"].partition(" ")[2]
    study.http.get(study.address(f"participants/{roman}"), headers={"Authorization": f"Bearer {token}"})
    logs = [path for path in study.demo.data.rglob("*.log") if path.is_file()]
    assert {"web.log", "enrollment.log", "analytics.log"} <= {path.name for path in logs}
    for path in logs:
        written = path.read_bytes()
        assert not [text for text in (*SECRETS, token) if text.encode() in written], path


def test_a_reference_is_found_by_its_own_site_only(study: OwnStudy, roman: str) -> None:
    asked = {"local_reference": f"  {REFERENCE.lower()} "}
    for who in of_site("rome"):
        found = study.post("participants/search", asked, who)
        assert (found.status_code, [row["participant_id"] for row in found.json()["rows"]]) == (200, [roman])
    for who in of_site("milan"):
        assert study.post("participants/search", asked, who).json() == {"rows": []}
    for who in (*WHOLE, "administrator", "reader"):
        assert study.post("participants/search", asked, who).status_code == 403
    assert study.post("participants/search", asked, "nobody").status_code == 404
    before = study.get(f"participants/{roman}").json()["version"]
    for wrong in ({}, {"local_reference": ""}, {**asked, "site": "rome"}, {"local_reference": 7}, [asked]):
        assert study.post("participants/search", wrong).status_code == 422
    assert study.post("participants/search?dry_run=true", asked).status_code == 422
    assert study.get(f"participants/{roman}").json()["version"] == before


def test_a_reference_is_taken_in_no_address(study: OwnStudy, roman: str) -> None:
    for who in (*EVERYBODY, "nobody"):
        for path in ("participants", f"participants/{roman}", "facts"):
            answer = study.get(path, who, local_reference=REFERENCE)
            if path == "participants":
                assert (answer.status_code, answer.json()["type"]) == (422, "/problems/parameter")
            assert REFERENCE not in answer.text or who in of_site("rome")


def test_a_reference_that_is_in_use_is_refused_without_saying_whose(study: OwnStudy) -> None:
    first = study.participant(facts.screened(local_reference="Zw-12"))
    second = body(facts.screened(local_reference="zW-12"))
    assert study.post("participants?dry_run=true", second).status_code == 409
    answer = study.post("participants", second)
    assert answer.status_code == 409
    assert answer.json() == {
        "type": "/problems/already-registered",
        "title": AlreadyRegistered.title,
        "status": 409,
        "errors": [
            {
                "code": "already-registered",
                "message": AlreadyRegistered.title,
                "pointer": "",
            }
        ],
    }
    assert first not in str(answer.headers)
    assert study.participant(facts.screened(site_id="milan", local_reference="Zw-12"), who="site@milan") != first


def test_who_was_transferred_is_seen_by_the_new_site_without_the_old_ones_texts(study: OwnStudy) -> None:
    treated = (facts.lesion(), facts.course(), facts.procedure(detail=DETAIL))
    number = study.at_site("rome", *treated, local_reference=OTHERS)
    assert study.state(number, facts.transferred("milan", 9)).status_code == 201
    for path in (f"participants/{number}", f"participants/{number}/history"):
        assert study.get(path).status_code == 404
        seen = study.get(path, "site@milan")
        assert "lesion.registered" in seen.text
        assert OTHERS not in seen.text
        assert sealed_in(seen) == set()
    assert study.state(number, facts.lesion("L2")).status_code == 404
    assert number not in study.get("facts", limit=1000).text
    assert study.post("participants/search", {"local_reference": OTHERS}).json()["rows"] == []
    assert study.state(number, facts.procedure(12, detail="said in Milan"), "site@milan").status_code == 201
    for path in (f"participants/{number}", f"participants/{number}/history", "facts"):
        own = study.get(path, "site@milan")
        assert ("said in Milan" in own.text, sealed_in(own)) == (True, set())
    study.position()
    for who, sees in (("site@rome", False), ("site@milan", True), ("investigator", True)):
        assert (number in study.read("figures/treatments.json", who).text) is sees, who
