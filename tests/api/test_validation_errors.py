"""Invalid input gets a problem document with every error and its location, and nothing is recorded."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from shared.contracts.catalogue import STREAMS
from shared.kernel.ids import new_participant_id
from shared.testing.builders import facts
from tests.api.support.study import (
    EXAMPLE_BODIES,
    ROME_USER,
    StudyUnderTest,
    batch_entry,
    body,
    find_event_id,
    open_study,
    opening_request,
)
from tests.demo import Demo

INVALID_DATES: tuple[Any, ...] = (
    "0",
    0,
    "01.02.2024",
    "2024-02-30",
    "2024-13",
    "2024-02-01T00:00:00",
    True,
    None,
    "",
    1706745600,
    2024,
    2024.5,
    "2024-2-1",
    "20240201",
    "2024-W05-4",
    "2024-032",
    " 2024-02-01",
    "2024-02-01\n",
    "+2024-02-01",
    "2024-02-01Z",
    "２０２４-02-01",
    "1899-12-31",
    "2101-01-01",
    "0000-01-01",
    "today",
    [],
    {},
    ["2024-02-01"],
)
NULLABLE_DATE = ("participant.died", "/died_on")
DATE_PATTERN = re.compile(r"[0-9]{4}(-[0-9]{2}){0,2}")


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        yield study


@pytest.fixture(scope="module")
def participant_id(study: StudyUnderTest) -> str:
    return study.enroll_at("rome", facts.lesion_registered(), facts.radiotherapy_started(), local_reference="Zb-1")


def read_problem(response: httpx.Response, status: int, code: str) -> list[dict[str, str]]:
    """The errors of a problem document that is whole, and of that status and type."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert set(document) == {"type", "title", "status", "errors"}
    assert (document["type"], document["status"]) == (f"/problems/{code}", status)
    assert document["title"].endswith(".")
    assert document["errors"], "every problem has one entry at least"
    for error in document["errors"]:
        assert {"code", "message", "pointer"} <= set(error) <= {"code", "message", "pointer", "because_of"}
        assert error["message"]
    errors: list[dict[str, str]] = document["errors"]
    return errors


def codes_and_pointers(errors: list[dict[str, str]]) -> set[tuple[str, str]]:
    return {(error["code"], error["pointer"]) for error in errors}


def test_each_error_status_has_its_problem_document(study: StudyUnderTest, participant_id: str) -> None:
    lesion, lesion_path = (
        EXAMPLE_BODIES["lesion.registered"],
        f"participants/{participant_id}/facts/lesion.registered?dry_run=true",
    )
    study.wait_for_analytics()
    authorization = study.authorization(ROME_USER)
    responses = (
        (
            study.http.post(
                study.address(lesion_path), content=b"{", headers={**authorization, "Content-Type": "application/json"}
            ),
            400,
            "malformed",
        ),
        (study.http.get(study.address()), 401, "not-recognised"),
        (study.post(lesion_path, lesion, "reader"), 403, "not-your-role"),
        (study.get(f"participants/{new_participant_id()}"), 404, "not-found"),
        (study.http.get("/nothing/here"), 404, "not-found"),
        (study.http.delete(study.address("participants"), headers=authorization), 405, "method-not-allowed"),
        (
            study.post("participants", body(facts.participant_screened(local_reference="zB-1"))),
            409,
            "already-registered",
        ),
        (study.get_analytics("figures/flow.json", epoch="gone"), 410, "position-gone"),
        (study.post(lesion_path, lesion, If_Match='"1"'), 412, "version-mismatch"),
        (study.post(lesion_path, {**lesion, "note": "x" * 1024 * 1024}), 413, "too-large"),
        (study.http.post(study.address(lesion_path), content=b"{}", headers=authorization), 415, "unsupported-media"),
        (study.get("participants/K7F2-9QXA-4"), 422, "bad-participant-number"),
        (study.post(lesion_path, {}), 422, "schema"),
        (study.record_fact(participant_id, facts.participant_enrolled(3)), 422, "stated-twice"),
        (study.record_fact(participant_id, facts.lesion_registered("L2", 9000)), 422, "in-the-future"),
        (study.get_analytics("figures/flow.json", at="cut:never"), 404, "not-found"),
        (study.get_analytics("figures/flow.json", at=10**9), 422, "parameter"),
        (study.get_analytics("figures/flow.json", by="site"), 422, "parameter"),
        (study.get_analytics("figures/flow.json", cut="2024-02-30"), 422, "schema"),
    )
    for response, status, code in responses:
        read_problem(response, status, code)
        assert study.http.get(f"/problems/{code}").status_code == 200, code


def test_all_schema_errors_are_reported_at_once(study: StudyUnderTest, participant_id: str) -> None:
    invalid_body = {"lesion_id": "a b", "kind": "tumour", "body_site": 7, "found_on": "0", "size_mm": -1, "surplus": 1}
    path = f"participants/{participant_id}/facts/lesion.registered"
    errors = read_problem(study.post(path, invalid_body), 422, "schema")
    assert codes_and_pointers(errors) == {
        ("schema-string-pattern-mismatch", "/lesion_id"),
        ("schema-literal-error", "/kind"),
        ("schema-literal-error", "/body_site"),
        ("schema-value-error", "/found_on"),
        ("schema-greater-than", "/size_mm"),
        ("schema-extra-forbidden", ""),
    }
    missing = read_problem(study.post(path, {}), 422, "schema")
    assert {pointer for _, pointer in codes_and_pointers(missing)} == {"/lesion_id", "/kind", "/body_site", "/found_on"}


def test_all_rule_violations_are_reported_at_once_with_pointers(study: StudyUnderTest) -> None:
    invalid_facts = [
        facts.participant_screened(birth_year=2020, criteria={"histology": "met", "rt-indicated": "not_met"}),
        facts.consent_signed(9, version="9.9"),
        facts.participant_enrolled(3),
        facts.lesion_registered("L1", 9000),
    ]
    errors = read_problem(
        study.post("participants", {"facts": [batch_entry(fact) for fact in invalid_facts]}), 422, "consent-version"
    )
    assert codes_and_pointers(errors) == {
        ("too-young", "/facts/0/data/birth_year"),
        ("consent-version", "/facts/1/data/form_version"),
        ("not-eligible", "/facts/2/data"),
        ("no-consent", "/facts/2/data/enrolled_on"),
        ("in-the-future", "/facts/3/data/found_on"),
    }


def test_batch_error_pointers_name_the_entry_and_the_member(study: StudyUnderTest, participant_id: str) -> None:
    batch = [batch_entry(facts.lesion_registered(f"L{index}")) for index in range(2, 19)]
    batch_with_violation = [*batch, batch_entry(facts.radiotherapy_completed(-5))]
    path = f"participants/{participant_id}/facts"
    errors = read_problem(study.post(path, batch_with_violation), 422, "course-not-started")
    assert codes_and_pointers(errors) == {("course-not-started", "/17/data/course_id")}
    batch_with_schema_error = [
        *batch,
        {"type": "lesion.registered", "data": {**EXAMPLE_BODIES["lesion.registered"], "found_on": "0"}},
    ]
    errors = read_problem(study.post(path, batch_with_schema_error), 422, "schema")
    assert codes_and_pointers(errors) == {("schema-value-error", "/17/data/found_on")}
    malformed_batch = [{"type": "no.such_fact", "data": {}}, {"data": {}}, {"type": "participant.voided"}, 7, []]
    errors = read_problem(study.post(path, malformed_batch), 422, "schema")
    assert {pointer for _, pointer in codes_and_pointers(errors)} == {"/0", "/1", "/2/data", "/3", "/4"}


def test_batch_format_and_pointers_are_the_same_at_both_addresses(study: StudyUnderTest, participant_id: str) -> None:
    first = [
        batch_entry(facts.participant_screened()),
        batch_entry(facts.consent_signed()),
        batch_entry(facts.participant_enrolled()),
    ]
    for path, valid_batch, invalid_batch in (
        (
            f"participants/{participant_id}/facts",
            [batch_entry(facts.lesion_registered("L2"))],
            [batch_entry(facts.radiotherapy_completed(-5))],
        ),
        ("participants", first, [*first[:2], batch_entry(facts.lesion_registered("L1", 9000))]),
    ):
        for wrap, base in ((lambda batch: {"facts": batch}, "/facts"), (lambda batch: batch, "")):
            response = study.post(f"{path}?dry_run=true", wrap(valid_batch))
            assert response.status_code == 200, response.text
            assert len(response.json()["would_record"]) == len(valid_batch)
            errors = study.post(path, wrap(invalid_batch)).json()["errors"]
            assert all(error["pointer"].startswith(f"{base}/{len(invalid_batch) - 1}/data") for error in errors), errors
            schema_errors = study.post(path, wrap([{**valid_batch[0], "data": {}}])).json()["errors"]
            assert all(error["pointer"].startswith(f"{base}/0/data/") for error in schema_errors), schema_errors
            assert codes_and_pointers(read_problem(study.post(path, wrap([])), 422, "schema")) == {
                ("schema-too-short", base)
            }
    unscreened = [batch_entry(facts.consent_signed())]
    for sent, pointer in (({"facts": unscreened}, "/facts/0/type"), (unscreened, "/0/type")):
        assert codes_and_pointers(read_problem(study.post("participants", sent), 422, "not-screened")) == {
            ("not-screened", pointer)
        }


def test_unknown_member_error_suggests_and_lists_the_known_members(study: StudyUnderTest, participant_id: str) -> None:
    lesion = {**EXAMPLE_BODIES["lesion.registered"], "sizeMm": 12}
    (error,) = read_problem(study.post(f"participants/{participant_id}/facts/lesion.registered", lesion), 422, "schema")
    assert (error["code"], error["pointer"]) == ("schema-extra-forbidden", "")
    assert error["message"].startswith("There is no such member here. Probably size_mm was meant. The members are: ")
    assert {"body_site", "found_on", "kind", "lesion_id"} <= set(re.findall(r"\w+", error["message"]))
    course = batch_entry(facts.radiotherapy_started(0, "RT7", index=False))
    course["data"]["targets"][0]["patient of the ward"] = 1
    for batch, pointer in (([course], "/0/data/targets/0"), ({"facts": [course]}, "/facts/0/data/targets/0")):
        (error,) = read_problem(study.post(f"participants/{participant_id}/facts", batch), 422, "schema")
        assert error["pointer"] == pointer
        assert {"fractions", "dose_per_fraction_cgy"} <= set(re.findall(r"\w+", error["message"]))
        assert "ward" not in error["message"]
    response = study.post(f"participants/{participant_id}/facts", {"facts": [course], "fact": 1})
    error = read_problem(response, 422, "schema")[-1]
    assert (error["pointer"], error["message"]) == (
        "",
        "There is no such member here. Probably facts was meant. The members are: facts.",
    )


def test_unknown_member_of_a_batch_lists_the_members_of_a_batch(study: StudyUnderTest) -> None:
    response = study.post("participants", {"site_id": "rome", "facts": [batch_entry(facts.participant_screened())]})
    messages = [error["message"] for error in response.json()["errors"]]
    assert messages == ["There is no such member here. The members are: facts."]


def test_only_those_who_may_see_a_participant_learn_its_version(study: StudyUnderTest) -> None:
    participant = study.enroll_at("rome")
    lesion_path, lesion = (
        f"participants/{participant}/facts/lesion.registered?dry_run=true",
        EXAMPLE_BODIES["lesion.registered"],
    )
    (error,) = read_problem(study.post(lesion_path, lesion, If_Match='"2"'), 412, "version-mismatch")
    assert "at version 3" in error["message"]
    read_problem(study.post(lesion_path, lesion, "reader", If_Match='"2"'), 403, "not-your-role")
    read_problem(study.post(lesion_path, lesion, "site@milan", If_Match='"2"'), 404, "not-found")
    read_problem(
        study.post("participants", EXAMPLE_BODIES["participant.screened"], If_Match="*"), 412, "version-mismatch"
    )


def test_correction_error_pointers_lead_into_the_replacement(study: StudyUnderTest, participant_id: str) -> None:
    event = find_event_id(study, participant_id, "radiotherapy.started")
    path = f"participants/{participant_id}/facts/record.corrected"
    replacement = batch_entry(facts.radiotherapy_started(-300))
    correction = {"event_id": event, "reason_code": "typing_error", "replacement": replacement}
    errors = read_problem(
        study.post(path, {**correction, "replacement": batch_entry(facts.radiotherapy_started(9000))}),
        422,
        "in-the-future",
    )
    assert codes_and_pointers(errors) == {("in-the-future", "/replacement/data/started_on")}
    invalid_replacement = {
        **replacement,
        "data": {
            **replacement["data"],
            "started_on": "0",
            "targets": [facts.target(fractions=81, cgy_per_fraction=10)],
        },
    }
    errors = read_problem(study.post(path, {**correction, "replacement": invalid_replacement}), 422, "schema")
    assert codes_and_pointers(errors) == {
        ("schema-value-error", "/replacement/data/started_on"),
        ("schema-less-than-equal", "/replacement/data/targets/0/fractions"),
    }
    batch = [
        {
            "type": "record.corrected",
            "data": {**correction, "replacement": batch_entry(facts.radiotherapy_started(9000))},
        }
    ]
    errors = read_problem(study.post(f"participants/{participant_id}/facts", batch), 422, "in-the-future")
    assert codes_and_pointers(errors) == {("in-the-future", "/0/data/replacement/data/started_on")}


def date_pointers(value: Any, pointer: str = "") -> Iterator[str]:
    """Yields the JSON pointers of the dates in a body."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from date_pointers(member, f"{pointer}/{name}")
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from date_pointers(member, f"{pointer}/{index}")
    elif isinstance(value, str) and DATE_PATTERN.fullmatch(value):
        yield pointer


def replace_member(value: Any, pointer: str, replacement: Any) -> Any:
    """A copy that says something else at the pointer."""
    first, _, rest = pointer.removeprefix("/").partition("/")
    if isinstance(value, list):
        return [
            *value[: int(first)],
            replace_member(value[int(first)], f"/{rest}", replacement),
            *value[int(first) + 1 :],
        ]
    return {**value, first: replace_member(value[first], f"/{rest}", replacement) if rest else replacement}


@pytest.mark.parametrize("name", EXAMPLE_BODIES)
def test_every_date_member_rejects_values_that_are_not_dates(
    study: StudyUnderTest, participant_id: str, name: str
) -> None:
    stream = next(stream for stream in STREAMS if name in stream.facts)
    of_study = stream.subject == "study"
    path = study.address(f"facts/{name}" if of_study else f"participants/{participant_id}/facts/{name}", stream.service)
    user = "administrator" if of_study else ROME_USER
    for pointer in date_pointers(EXAMPLE_BODIES[name]):
        null_is_valid = (name, pointer) == NULLABLE_DATE
        for value in (value for value in INVALID_DATES if value is not None or not null_is_valid):
            response = study.send(f"{path}?dry_run=true", replace_member(EXAMPLE_BODIES[name], pointer, value), user)
            assert ("schema-value-error", pointer) in codes_and_pointers(read_problem(response, 422, "schema")), value


def test_date_members_are_found_in_the_example_facts() -> None:
    pointers_by_fact = {name: list(date_pointers(content)) for name, content in EXAMPLE_BODIES.items()}
    assert pointers_by_fact["participant.baseline_recorded"] == ["/assessed_on", "/diagnosed_on"]
    assert pointers_by_fact["study.protocol_amended"][0] == "/effective_on"
    assert sum(map(len, pointers_by_fact.values())) >= 22


def test_invalid_idempotency_key_is_422_and_a_valid_one_replays(study: StudyUnderTest, participant_id: str) -> None:
    for key in ("", "a b", "a" * 201, "a\tb"):
        response = study.post("participants", body(facts.participant_screened()), Idempotency_Key=key)
        assert read_problem(response, 422, "schema")[0]["message"].startswith("header idempotency-key")
    for key in ("a", "~" * 200, '"quoted"', "a/b?c=d&e", str(participant_id)):
        responses = [
            study.post("participants", body(facts.participant_screened()), Idempotency_Key=key) for _ in range(2)
        ]
        assert [response.status_code for response in responses] == [201, 201]
        assert responses[0].json() == responses[1].json()
        conflicting = study.post("participants", body(facts.participant_screened(1)), Idempotency_Key=key)
        read_problem(conflicting, 422, "idempotency-key-reused")


def test_if_match_accepts_only_quoted_versions(study: StudyUnderTest, participant_id: str) -> None:
    lesion_path, lesion = (
        f"participants/{participant_id}/facts/lesion.registered?dry_run=true",
        EXAMPLE_BODIES["lesion.registered"],
    )
    version = study.get(f"participants/{participant_id}").headers["ETag"]
    for malformed in (version.strip('"'), '" 1"', f"{version} {version}", "'1'", '"1', f"*, {version}", "w/" + version):
        message = read_problem(study.post(lesion_path, lesion, If_Match=malformed), 422, "schema")[0]["message"]
        assert message.startswith("header if-match: "), malformed
        assert 'If-Match: "3"' in message
    for matching in (version, f"W/{version}", f'"0", {version}', f"{version}, {version}", "*"):
        assert study.post(lesion_path, lesion, If_Match=matching).status_code == 200, matching
    for outdated in ('"0"', '"1"', '"999999999"', '"x"', '""', '"1234567890"', f'"-{version[1:]}'):
        read_problem(study.post(lesion_path, lesion, If_Match=outdated), 412, "version-mismatch")


def test_rejected_requests_record_nothing_and_leave_their_keys_free(study: StudyUnderTest, participant_id: str) -> None:
    """The next position is the next fact, and the key of a refused request is still free."""
    before, version, key = (
        study.wait_for_analytics(),
        study.get(f"participants/{participant_id}").json()["version"],
        secrets.token_hex(8),
    )
    rejected = [
        study.record_fact(participant_id, facts.participant_enrolled(3), Idempotency_Key=key),
        study.record_fact(participant_id, facts.lesion_registered("L1"), Idempotency_Key=key),
        study.post(
            f"participants/{participant_id}/facts",
            [batch_entry(facts.lesion_registered("L40")), batch_entry(facts.lesion_registered("L40"))],
        ),
        study.post(
            "participants",
            {"facts": [batch_entry(facts.participant_screened()), batch_entry(facts.participant_enrolled())]},
            Idempotency_Key=key,
        ),
        study.post("facts/study.site_closed", {"site_id": "paris", "on": "2024-02-01"}, "administrator"),
        study.http.post(
            "/enrollment/v1/studies", json=opening_request(study.study_id), headers=study.authorization("administrator")
        ),
    ]
    assert {response.status_code for response in rejected} == {422}
    assert study.get(f"participants/{participant_id}").json()["version"] == version
    accepted = study.record_fact(participant_id, facts.procedure_performed(), Idempotency_Key=key)
    assert (accepted.status_code, accepted.json()["version"]) == (201, version + 1)
    assert study.wait_for_analytics() == before + 1
