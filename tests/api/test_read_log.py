"""Every read of rows about single participants is in the log of reads, whatever the reader says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from infra.reference.study import subject
from shared.testing import facts
from tests.api.own_study import EVERYBODY, OwnStudy, own_study, role_and_site
from tests.demo import Demo

REFERENCE = "Zq-read-log-1"


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[OwnStudy]:
    with own_study(demo) as opened:
        yield opened


@pytest.fixture(scope="module")
def roman(study: OwnStudy) -> str:
    number = study.at_site("rome", facts.lesion(), facts.course(), local_reference=REFERENCE)
    return study.known_everywhere(number)


def log(study: OwnStudy, service: str, who: str = "auditor") -> list[dict[str, Any]]:
    """Every line of the log, a page at a time."""
    rows, after = list[dict[str, Any]](), 0
    while after is not None:
        page = study.of(service, "reads", who, after=after, limit=3).json()
        rows, after = rows + page["rows"], page["next"]
    return rows


READS = [
    ("enrollment", "participants", "participants"), ("enrollment", "participants/{}", "participant"),
    ("enrollment", "participants/{}/history", "history"), ("enrollment", "facts", "facts"),
    ("toxicity", "participants", "participants"), ("toxicity", "participants/{}", "participant"),
    ("followup", "participants/{}/history", "history"), ("followup", "facts", "facts"),
    ("analytics", "figures/treatments.json", "treatments"), ("analytics", "figures/treatments.csv", "treatments"),
    ("analytics", "figures/treatments.svg", "treatments"), ("analytics", "queries.json", "queries"),
    ("analytics", "participants/{}/timeline.json", "timeline"),
    ("analytics", "participants/{}/timeline.svg", "timeline"), ("analytics", "operations.json", "operations"),
]  # fmt: skip
PAGES = [
    ("", "treatments"), ("/figures/treatments", "treatments"), ("/participants", "participants"),
    ("/participants/{}", "queries, timeline"), ("/participants/{}/queries", "queries"),
    ("/participants/{}/timeline", "timeline"), ("/queries", "queries"), ("/operations", "operations"),
]  # fmt: skip


@pytest.mark.parametrize(("service", "path", "what"), READS)
def test_a_read_is_logged_before_it_is_answered(
    study: OwnStudy, roman: str, service: str, path: str, what: str
) -> None:
    before = log(study, service)
    answer = study.of(service, path.format(roman), "monitor")
    assert answer.status_code == 200
    (line,) = log(study, service)[len(before) :]
    assert (line["read_by"], line["what"], line["address"]) == (
        subject(study.study_id, "monitor", None), what, "127.0.0.1",
    )  # fmt: skip
    assert line["participant_id"] == (roman if "{}" in path else None)
    if answer.headers["content-type"] == "application/json":
        shown = answer.json()
        rows: list[Any] = next(
            (shown[name] for name in ("rows", "facts", "events", "targets", "entries") if name in shown), []
        )
        assert line["rows"] == len(rows)


@pytest.mark.parametrize(("path", "what"), PAGES)
def test_a_page_is_logged_too(study: OwnStudy, roman: str, path: str, what: str) -> None:
    before = log(study, "analytics")
    address = f"/analytics/studies/{study.study_id}{path.format(roman)}"
    assert study.http.get(address, headers=study.bearer("investigator")).status_code == 200
    (line,) = log(study, "analytics")[len(before) :]
    assert (line["read_by"], line["what"]) == (subject(study.study_id, "investigator", None), what)


def test_a_search_is_logged_without_what_was_searched_for(study: OwnStudy, roman: str) -> None:
    before = log(study, "enrollment")
    for asked in (REFERENCE, "Zq-nobody"):
        study.post("participants/search", {"local_reference": asked})
    lines = log(study, "enrollment")[len(before) :]
    assert [(line["what"], line["rows"]) for line in lines] == [("search", 1), ("search", 0)]
    assert "Zq" not in str(lines)


def test_the_site_that_a_read_was_restricted_to_is_in_the_log(study: OwnStudy, roman: str) -> None:
    study.get("facts", "monitor", site="rome")
    assert log(study, "enrollment")[-1]["site_id"] == "rome"


def test_what_shows_no_participant_and_what_is_refused_is_not_in_the_log(study: OwnStudy, roman: str) -> None:
    before = log(study, "analytics")
    for path in ("position", "figures", "figures/flow.json", "figures/accrual.svg"):
        assert study.read(path).status_code == 200
    assert study.read("participants/0000-0000-0/timeline.json").status_code == 404
    assert study.read("queries.json", "administrator").status_code == 403
    assert log(study, "analytics") == before


@pytest.mark.parametrize("service", ["enrollment", "toxicity", "followup", "analytics"])
def test_the_log_is_read_by_administrators_investigators_and_auditors(
    study: OwnStudy, roman: str, service: str
) -> None:
    may = {who for who in EVERYBODY if study.of(service, "reads", who).status_code == 200}
    assert may == {"administrator", "investigator", "auditor"}
    assert study.of(service, "reads", "nobody").status_code == 404


def test_a_client_cannot_name_another_address_than_its_own(study: OwnStudy, roman: str) -> None:
    headers = {**study.bearer("monitor"), "X-Forwarded-For": "203.0.113.9"}
    assert study.http.get(study.address("facts"), headers=headers).status_code == 200
    assert log(study, "enrollment")[-1]["address"] == "127.0.0.1"


def test_members_are_shown_their_own_site_and_overseers_the_whole_study(study: OwnStudy) -> None:
    for who in EVERYBODY:
        shown = study.get("", who).json()["facts"]
        members = {fact["data"]["member"] for fact in shown if fact["type"] == "study.member_granted"}
        role, _, site = who.partition("@")
        visible = {each for each in EVERYBODY if site and each.endswith(f"@{site}")} or {who}
        visible = visible if site or role == "reader" else set(EVERYBODY)
        assert members == {subject(study.study_id, *role_and_site(each)) for each in visible}, who
