"""Each read of rows about single participants is in the log of reads; aggregate and refused reads are not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from infra.reference.study import subject
from shared.testing.builders import facts
from tests.api.support.study import ALL_USERS, StudyUnderTest, open_study, split_user
from tests.demo import Demo

REFERENCE = "Zq-read-log-1"


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        yield study


@pytest.fixture(scope="module")
def rome_participant(study: StudyUnderTest) -> str:
    participant_id = study.enroll_at(
        "rome", facts.lesion_registered(), facts.radiotherapy_started(), local_reference=REFERENCE
    )
    return study.wait_until_known(participant_id)


def read_log(study: StudyUnderTest, service: str, user: str = "auditor") -> list[dict[str, Any]]:
    """Returns all lines of the log, read page by page."""
    rows, after = list[dict[str, Any]](), 0
    while after is not None:
        page = study.get_from(service, "reads", user, after=after, limit=3).json()
        rows, after = rows + page["rows"], page["next"]
    return rows


READS = [
    ("enrollment", "participants", "participants"),
    ("enrollment", "participants/{}", "participant"),
    ("enrollment", "participants/{}/history", "history"),
    ("enrollment", "facts", "facts"),
    ("toxicity", "participants", "participants"),
    ("toxicity", "participants/{}", "participant"),
    ("followup", "participants/{}/history", "history"),
    ("followup", "facts", "facts"),
    ("analytics", "figures/treatments.json", "treatments"),
    ("analytics", "figures/treatments.csv", "treatments"),
    ("analytics", "figures/treatments.svg", "treatments"),
    ("analytics", "figures/swimmer.json", "swimmer"),
    ("analytics", "queries.json", "queries"),
    ("analytics", "worklist.json", "worklist"),
    ("analytics", "worklist.csv", "worklist"),
    ("analytics", "worklist.ics", "worklist"),
    ("analytics", "participants/{}/timeline.json", "timeline"),
    ("analytics", "participants/{}/timeline.svg", "timeline"),
    ("analytics", "operations.json", "operations"),
]
PAGES = [
    ("", "treatments, swimmer"),
    ("/figures/treatments", "treatments"),
    ("/participants", "participants"),
    ("/participants/{}", "queries, timeline"),
    ("/participants/{}/queries", "queries"),
    ("/participants/{}/timeline", "timeline"),
    ("/queries", "queries"),
    ("/worklist", "worklist"),
    ("/operations", "operations"),
]


@pytest.mark.parametrize(("service", "path", "resource"), READS)
def test_read_of_participant_rows_is_logged(
    study: StudyUnderTest, rome_participant: str, service: str, path: str, resource: str
) -> None:
    before = read_log(study, service)
    response = study.get_from(service, path.format(rome_participant), "monitor")
    assert response.status_code == 200
    (line,) = read_log(study, service)[len(before) :]
    assert (line["read_by"], line["what"], line["address"]) == (
        subject(study.study_id, "monitor", None),
        resource,
        "127.0.0.1",
    )
    assert line["participant_id"] == (rome_participant if "{}" in path else None)
    if response.headers["content-type"] == "application/json":
        document = response.json()
        rows: list[Any] = next(
            (document[name] for name in ("rows", "facts", "events", "targets", "entries", "lanes") if name in document),
            [],
        )
        assert line["rows"] == len(rows) + len(document.get("no_schedule", ()))


@pytest.mark.parametrize(("path", "resource"), PAGES)
def test_page_view_of_participant_rows_is_logged(
    study: StudyUnderTest, rome_participant: str, path: str, resource: str
) -> None:
    before = read_log(study, "analytics")
    address = f"/analytics/studies/{study.study_id}{path.format(rome_participant)}"
    assert study.http.get(address, headers=study.authorization("investigator")).status_code == 200
    (line,) = read_log(study, "analytics")[len(before) :]
    assert (line["read_by"], line["what"]) == (subject(study.study_id, "investigator", None), resource)


def test_search_is_logged_without_the_search_term(study: StudyUnderTest, rome_participant: str) -> None:
    before = read_log(study, "enrollment")
    for reference in (REFERENCE, "Zq-nobody"):
        study.post("participants/search", {"local_reference": reference})
    lines = read_log(study, "enrollment")[len(before) :]
    assert [(line["what"], line["rows"]) for line in lines] == [("search", 1), ("search", 0)]
    assert "Zq" not in str(lines)


def test_read_log_states_the_site_filter(study: StudyUnderTest, rome_participant: str) -> None:
    study.get("facts", "monitor", site="rome")
    assert read_log(study, "enrollment")[-1]["site_id"] == "rome"


def test_aggregate_reads_and_refused_reads_are_not_logged(study: StudyUnderTest, rome_participant: str) -> None:
    before = read_log(study, "analytics")
    for path in ("position", "figures", "figures/flow.json", "figures/accrual.svg"):
        assert study.get_analytics(path).status_code == 200
    assert study.get_analytics("participants/0000-0000-0/timeline.json").status_code == 404
    assert study.get_analytics("queries.json", "administrator").status_code == 403
    assert read_log(study, "analytics") == before


@pytest.mark.parametrize("service", ["enrollment", "toxicity", "followup", "analytics"])
def test_read_log_is_readable_by_administrators_investigators_and_auditors(
    study: StudyUnderTest, rome_participant: str, service: str
) -> None:
    readers = {user for user in ALL_USERS if study.get_from(service, "reads", user).status_code == 200}
    assert readers == {"administrator", "investigator", "auditor"}
    assert study.get_from(service, "reads", "nobody").status_code == 404


def test_logged_address_ignores_forwarded_for_headers(study: StudyUnderTest, rome_participant: str) -> None:
    headers = {**study.authorization("monitor"), "X-Forwarded-For": "203.0.113.9"}
    assert study.http.get(study.address("facts"), headers=headers).status_code == 200
    assert read_log(study, "enrollment")[-1]["address"] == "127.0.0.1"


def test_site_members_see_their_own_site_and_overseers_the_whole_study(study: StudyUnderTest) -> None:
    for user in ALL_USERS:
        facts_shown = study.get("", user).json()["facts"]
        members = {fact["data"]["member"] for fact in facts_shown if fact["type"] == "study.member_granted"}
        role, _, site = user.partition("@")
        visible = {member for member in ALL_USERS if site and member.endswith(f"@{site}")} or {user}
        visible = visible if site or role == "reader" else set(ALL_USERS)
        assert members == {subject(study.study_id, *split_user(member)) for member in visible}, user
