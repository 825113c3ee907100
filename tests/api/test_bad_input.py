"""What bad input gets: a problem document that says all that is wrong, and where; and nothing is recorded."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from shared.contracts.catalogue import STREAMS
from shared.kernel.ids import new_participant_id
from shared.testing import facts
from tests.api.own_study import SAID, SITE, OwnStudy, body, entry, event_of, opening, own_study
from tests.demo import Demo

NOT_DATES: tuple[Any, ...] = (
    "0", 0, "01.02.2024", "2024-02-30", "2024-13", "2024-02-01T00:00:00", True, None, "", 1706745600, 2024, 2024.5,
    "2024-2-1", "20240201", "2024-W05-4", "2024-032", " 2024-02-01", "2024-02-01\n", "+2024-02-01", "2024-02-01Z",
    "２０２４-02-01", "1899-12-31", "2101-01-01", "0000-01-01", "today", [], {}, ["2024-02-01"],
)  # fmt: skip
UNKNOWN_IS_A_VALUE = ("participant.died", "/died_on")
DATE = re.compile(r"[0-9]{4}(-[0-9]{2}){0,2}")


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[OwnStudy]:
    with own_study(demo) as opened:
        yield opened


@pytest.fixture(scope="module")
def number(study: OwnStudy) -> str:
    return study.at_site("rome", facts.lesion(), facts.course(), local_reference="Zb-1")


def problem(answer: httpx.Response, status: int, code: str) -> list[dict[str, str]]:
    """The errors of a problem document that is whole, and of that status and type."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert set(said) == {"type", "title", "status", "errors"}
    assert (said["type"], said["status"]) == (f"/problems/{code}", status)
    assert said["title"].endswith(".")
    assert said["errors"], "every problem has one entry at least"
    for error in said["errors"]:
        assert {"code", "message", "pointer"} <= set(error) <= {"code", "message", "pointer", "because_of"}
        assert error["message"]
    errors: list[dict[str, str]] = said["errors"]
    return errors


def where(errors: list[dict[str, str]]) -> set[tuple[str, str]]:
    return {(error["code"], error["pointer"]) for error in errors}


def test_each_status_has_its_document(study: OwnStudy, number: str) -> None:
    lesion, at = SAID["lesion.registered"], f"participants/{number}/facts/lesion.registered?dry_run=true"
    study.position()
    said = study.bearer(SITE)
    answers = (
        (study.http.post(study.address(at), content=b"{", headers={**said, "Content-Type": "application/json"}),
         400, "malformed"),
        (study.http.get(study.address()), 401, "not-recognised"),
        (study.post(at, lesion, "reader"), 403, "not-your-role"),
        (study.get(f"participants/{new_participant_id()}"), 404, "not-found"),
        (study.http.get("/nothing/here"), 404, "not-found"),
        (study.http.delete(study.address("participants"), headers=said), 405, "method-not-allowed"),
        (study.post("participants", body(facts.screened(local_reference="zB-1"))), 409, "already-registered"),
        (study.read("figures/flow.json", epoch="gone"), 410, "position-gone"),
        (study.post(at, lesion, If_Match='"1"'), 412, "version-mismatch"),
        (study.post(at, {**lesion, "note": "x" * 1024 * 1024}), 413, "too-large"),
        (study.http.post(study.address(at), content=b"{}", headers=said), 415, "unsupported-media"),
        (study.get("participants/K7F2-9QXA-4"), 422, "bad-participant-number"),
        (study.post(at, {}), 422, "schema"),
        (study.state(number, facts.enrolled(3)), 422, "stated-twice"),
        (study.state(number, facts.lesion("L2", 9000)), 422, "in-the-future"),
        (study.read("figures/flow.json", at="cut:never"), 404, "not-found"),
        (study.read("figures/flow.json", at=10**9), 422, "parameter"),
        (study.read("figures/flow.json", by="site"), 422, "parameter"),
        (study.read("figures/flow.json", cut="2024-02-30"), 422, "schema"),
    )  # fmt: skip
    for answer, status, code in answers:
        problem(answer, status, code)
        assert study.http.get(f"/problems/{code}").status_code == 200, code


def test_all_that_is_wrong_with_the_form_is_said_at_once(study: OwnStudy, number: str) -> None:
    wrong = {"lesion_id": "a b", "kind": "tumour", "body_site": 7, "found_on": "0", "size_mm": -1, "surplus": 1}
    errors = problem(study.post(f"participants/{number}/facts/lesion.registered", wrong), 422, "schema")
    assert where(errors) == {
        ("schema-string-pattern-mismatch", "/lesion_id"),
        ("schema-literal-error", "/kind"),
        ("schema-literal-error", "/body_site"),
        ("schema-value-error", "/found_on"),
        ("schema-greater-than", "/size_mm"),
        ("schema-extra-forbidden", ""),
    }
    missing = problem(study.post(f"participants/{number}/facts/lesion.registered", {}), 422, "schema")
    assert {pointer for _, pointer in where(missing)} == {"/lesion_id", "/kind", "/body_site", "/found_on"}


def test_all_objections_of_rules_and_gates_are_said_at_once_with_pointers(study: OwnStudy) -> None:
    told = [
        facts.screened(birth_year=2020, criteria={"histology": "met", "rt-indicated": "not_met"}),
        facts.consented(9, version="9.9"),
        facts.enrolled(3),
        facts.lesion("L1", 9000),
    ]
    errors = problem(study.post("participants", {"facts": [entry(fact) for fact in told]}), 422, "consent-version")
    assert where(errors) == {
        ("too-young", "/facts/0/data/birth_year"),
        ("consent-version", "/facts/1/data/form_version"),
        ("not-eligible", "/facts/2/data"),
        ("no-consent", "/facts/2/data/enrolled_on"),
        ("in-the-future", "/facts/3/data/found_on"),
    }


def test_pointers_into_a_batch_name_the_fact_and_the_member(study: OwnStudy, number: str) -> None:
    batch = [entry(facts.lesion(f"L{place}")) for place in range(2, 19)]
    wrong = [*batch, entry(facts.completed(-5))]
    errors = problem(study.post(f"participants/{number}/facts", wrong), 422, "course-not-started")
    assert where(errors) == {("course-not-started", "/17/data/course_id")}
    of_form = [*batch, {"type": "lesion.registered", "data": {**SAID["lesion.registered"], "found_on": "0"}}]
    errors = problem(study.post(f"participants/{number}/facts", of_form), 422, "schema")
    assert where(errors) == {("schema-value-error", "/17/data/found_on")}
    odd = [{"type": "no.such_fact", "data": {}}, {"data": {}}, {"type": "participant.voided"}, 7, []]
    errors = problem(study.post(f"participants/{number}/facts", odd), 422, "schema")
    assert {pointer for _, pointer in where(errors)} == {"/0", "/1", "/2/data", "/3", "/4"}


def test_a_batch_has_one_form_at_both_addresses_and_pointers_fit_what_was_sent(study: OwnStudy, number: str) -> None:
    first = [entry(facts.screened()), entry(facts.consented()), entry(facts.enrolled())]
    for path, right, wrong in (
        (f"participants/{number}/facts", [entry(facts.lesion("L2"))], [entry(facts.completed(-5))]),
        ("participants", first, [*first[:2], entry(facts.lesion("L1", 9000))]),
    ):
        for form, base in ((lambda batch: {"facts": batch}, "/facts"), (lambda batch: batch, "")):
            answer = study.post(f"{path}?dry_run=true", form(right))
            assert answer.status_code == 200, answer.text
            assert len(answer.json()["would_record"]) == len(right)
            errors = study.post(path, form(wrong)).json()["errors"]
            assert all(error["pointer"].startswith(f"{base}/{len(wrong) - 1}/data") for error in errors), errors
            of_form = study.post(path, form([{**right[0], "data": {}}])).json()["errors"]
            assert all(error["pointer"].startswith(f"{base}/0/data/") for error in of_form), of_form
            assert where(problem(study.post(path, form([])), 422, "schema")) == {("schema-too-short", base)}
    unscreened = [entry(facts.consented())]
    for sent, pointer in (({"facts": unscreened}, "/facts/0/type"), (unscreened, "/0/type")):
        assert where(problem(study.post("participants", sent), 422, "not-screened")) == {("not-screened", pointer)}


def test_a_member_that_there_is_not_is_answered_with_those_that_there_are(study: OwnStudy, number: str) -> None:
    lesion = {**SAID["lesion.registered"], "sizeMm": 12}
    (error,) = problem(study.post(f"participants/{number}/facts/lesion.registered", lesion), 422, "schema")
    assert (error["code"], error["pointer"]) == ("schema-extra-forbidden", "")
    assert error["message"].startswith("There is no such member here. Probably size_mm was meant. The members are: ")
    assert {"body_site", "found_on", "kind", "lesion_id"} <= set(re.findall(r"\w+", error["message"]))
    course = entry(facts.course(0, "RT7", index=False))
    course["data"]["targets"][0]["patient of the ward"] = 1
    for batch, pointer in (([course], "/0/data/targets/0"), ({"facts": [course]}, "/facts/0/data/targets/0")):
        (error,) = problem(study.post(f"participants/{number}/facts", batch), 422, "schema")
        assert error["pointer"] == pointer
        assert {"fractions", "dose_per_fraction_cgy"} <= set(re.findall(r"\w+", error["message"]))
        assert "ward" not in error["message"]
    (error,) = problem(study.post(f"participants/{number}/facts", {"facts": [course], "fact": 1}), 422, "schema")[-1:]
    assert (error["pointer"], error["message"]) == (
        "", "There is no such member here. Probably facts was meant. The members are: facts."
    )  # fmt: skip


def test_a_batch_with_a_member_of_a_screening_is_told_the_members_of_a_batch(study: OwnStudy) -> None:
    answer = study.post("participants", {"site_id": "rome", "facts": [entry(facts.screened())]})
    messages = [error["message"] for error in answer.json()["errors"]]
    assert messages == ["There is no such member here. The members are: facts."]


def test_who_is_told_the_present_version(study: OwnStudy) -> None:
    person = study.at_site("rome")
    at, lesion = f"participants/{person}/facts/lesion.registered?dry_run=true", SAID["lesion.registered"]
    (error,) = problem(study.post(at, lesion, If_Match='"2"'), 412, "version-mismatch")
    assert "at version 3" in error["message"]
    problem(study.post(at, lesion, "reader", If_Match='"2"'), 403, "not-your-role")
    problem(study.post(at, lesion, "site@milan", If_Match='"2"'), 404, "not-found")
    problem(study.post("participants", SAID["participant.screened"], If_Match="*"), 412, "version-mismatch")


def test_pointers_into_a_correction_lead_to_its_replacement(study: OwnStudy, number: str) -> None:
    event = event_of(study, number, "radiotherapy.started")
    path = f"participants/{number}/facts/record.corrected"
    moved = entry(facts.course(-300))
    said = {"event_id": event, "reason_code": "typing_error", "replacement": moved}
    errors = problem(study.post(path, {**said, "replacement": entry(facts.course(9000))}), 422, "in-the-future")
    assert where(errors) == {("in-the-future", "/replacement/data/started_on")}
    wrong = {**moved, "data": {**moved["data"], "started_on": "0", "targets": [facts.target(fractions=81, each=10)]}}
    errors = problem(study.post(path, {**said, "replacement": wrong}), 422, "schema")
    assert where(errors) == {
        ("schema-value-error", "/replacement/data/started_on"),
        ("schema-less-than-equal", "/replacement/data/targets/0/fractions"),
    }
    batch = [{"type": "record.corrected", "data": {**said, "replacement": entry(facts.course(9000))}}]
    errors = problem(study.post(f"participants/{number}/facts", batch), 422, "in-the-future")
    assert where(errors) == {("in-the-future", "/0/data/replacement/data/started_on")}


def dates_in(value: Any, pointer: str = "") -> Iterator[str]:
    """Where a body has a date."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from dates_in(member, f"{pointer}/{name}")
    elif isinstance(value, list):
        for place, member in enumerate(value):
            yield from dates_in(member, f"{pointer}/{place}")
    elif isinstance(value, str) and DATE.fullmatch(value):
        yield pointer


def with_member(value: Any, pointer: str, said: Any) -> Any:
    """A copy that says something else at the pointer."""
    first, _, rest = pointer.removeprefix("/").partition("/")
    if isinstance(value, list):
        return [*value[: int(first)], with_member(value[int(first)], f"/{rest}", said), *value[int(first) + 1 :]]
    return {**value, first: with_member(value[first], f"/{rest}", said) if rest else said}


@pytest.mark.parametrize("name", SAID)
def test_only_a_date_is_a_date(study: OwnStudy, number: str, name: str) -> None:
    stream = next(stream for stream in STREAMS if name in stream.facts)
    of_study = stream.subject == "study"
    at = study.address(f"facts/{name}" if of_study else f"participants/{number}/facts/{name}", stream.service)
    who = "administrator" if of_study else SITE
    for pointer in dates_in(SAID[name]):
        for wrong in (each for each in NOT_DATES if each is not None or (name, pointer) != UNKNOWN_IS_A_VALUE):
            answer = study.send(f"{at}?dry_run=true", with_member(SAID[name], pointer, wrong), who)
            assert ("schema-value-error", pointer) in where(problem(answer, 422, "schema")), wrong


def test_dates_were_found_in_the_facts() -> None:
    found = {name: list(dates_in(said)) for name, said in SAID.items()}
    assert found["participant.baseline_recorded"] == ["/assessed_on", "/diagnosed_on"]
    assert found["study.protocol_amended"][0] == "/effective_on"
    assert sum(map(len, found.values())) >= 22


def test_a_key_that_is_none_is_refused(study: OwnStudy, number: str) -> None:
    for key in ("", "a b", "a" * 201, "a\tb"):
        answer = study.post("participants", body(facts.screened()), Idempotency_Key=key)
        assert problem(answer, 422, "schema")[0]["message"].startswith("header idempotency-key")
    for key in ("a", "~" * 200, '"quoted"', "a/b?c=d&e", str(number)):
        stated = [study.post("participants", body(facts.screened()), Idempotency_Key=key) for _ in range(2)]
        assert [answer.status_code for answer in stated] == [201, 201]
        assert stated[0].json() == stated[1].json()
        other = study.post("participants", body(facts.screened(1)), Idempotency_Key=key)
        problem(other, 422, "idempotency-key-reused")


def test_only_versions_in_quotes_guard(study: OwnStudy, number: str) -> None:
    at, lesion = f"participants/{number}/facts/lesion.registered?dry_run=true", SAID["lesion.registered"]
    version = study.get(f"participants/{number}").headers["ETag"]
    for wrong in (version.strip('"'), '" 1"', f"{version} {version}", "'1'", '"1', f"*, {version}", "w/" + version):
        message = problem(study.post(at, lesion, If_Match=wrong), 422, "schema")[0]["message"]
        assert message.startswith("header if-match: "), wrong
        assert 'If-Match: "3"' in message
    for right in (version, f"W/{version}", f'"0", {version}', f"{version}, {version}", "*"):
        assert study.post(at, lesion, If_Match=right).status_code == 200, right
    for other in ('"0"', '"1"', '"999999999"', '"x"', '""', '"1234567890"', f'"-{version[1:]}'):
        problem(study.post(at, lesion, If_Match=other), 412, "version-mismatch")


def test_who_is_refused_leaves_no_trace(study: OwnStudy, number: str) -> None:
    """The next position is the next fact, and the key of a refused request is still free."""
    before, version, key = study.position(), study.get(f"participants/{number}").json()["version"], secrets.token_hex(8)
    refused = [
        study.state(number, facts.enrolled(3), Idempotency_Key=key),
        study.state(number, facts.lesion("L1"), Idempotency_Key=key),
        study.post(f"participants/{number}/facts", [entry(facts.lesion("L40")), entry(facts.lesion("L40"))]),
        study.post("participants", {"facts": [entry(facts.screened()), entry(facts.enrolled())]}, Idempotency_Key=key),
        study.post("facts/study.site_closed", {"site_id": "paris", "on": "2024-02-01"}, "administrator"),
        study.http.post("/enrollment/v1/studies", json=opening(study.study_id), headers=study.bearer("administrator")),
    ]
    assert {answer.status_code for answer in refused} == {422}
    assert study.get(f"participants/{number}").json()["version"] == version
    accepted = study.state(number, facts.procedure(), Idempotency_Key=key)
    assert (accepted.status_code, accepted.json()["version"]) == (201, version + 1)
    assert study.position() == before + 1
