"""Readers over HTTP: publications at named data cuts, in every format, and of every other address a refusal."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice, product
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from services.analytics.app import create_app as create_analytics
from services.analytics.figures.registry import FIGURES
from services.analytics.figures.survival_numbers import DAYS_OF_MONTH
from services.enrollment.app import create_app as create_enrollment
from services.followup.app import create_app as create_followup
from services.toxicity.app import create_app as create_toxicity
from shared.kernel.fact import Fact
from shared.settings import Settings
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as followup
from shared.testing.builders import toxicity_facts as toxicity
from tests.api.support.study import (
    EXAMPLE_BODIES,
    TIMEOUT_SECONDS,
    StudyUnderTest,
    is_indistinguishable,
    open_study,
    service_for,
    wait_until,
)
from tests.demo import Demo

FIRST_DAY, CUT_DAY = -600, 300
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
SEAL_TIMEOUT_SECONDS = 180.0
QUERIES: tuple[dict[str, str], ...] = (
    {},
    {"at": "cut:published"},
    {"by": "sex"},
    {"by": "subset"},
    {"by": "stage"},
    {"site": "rome"},
    {"at": "5"},
    {"cut": facts.day(FIRST_DAY + 20)},
    {"as_of": "2999-01-01T00:00:00Z"},
)


@dataclass(frozen=True)
class StudyForReaders:
    """A study with a data cut. `participant_days`: days of facts of participants, on which nothing else happened.

    `event_id`: an event of the participant.
    """

    study: StudyUnderTest
    participant_id: str
    participant_days: frozenset[str]
    event_id: str


def is_end_of_month(day: str) -> bool:
    """Tells the days at which readers see accrual, whoever was enrolled on them."""
    return (date.fromisoformat(day) + timedelta(days=1)).day == 1


@pytest.fixture(scope="module")
def published(demo: Demo) -> Iterator[StudyForReaders]:
    """Six women, who die, and five men at Rome and Milan; one woman has follow-up. Each fact has a day of its own."""
    with open_study(demo) as study:
        day = (number for number in range(FIRST_DAY, CUT_DAY, 2) if not is_end_of_month(facts.day(number)))
        days, participant_ids = set[str](), list[str]()
        for index in range(11):
            site = "milan" if index > 5 else "rome"
            stated = (
                facts.participant_screened(next(day), site_id=site, sex="male" if index > 5 else "female"),
                facts.consent_signed(next(day)),
                facts.participant_enrolled(next(day)),
                facts.lesion_registered("L1", next(day)),
                facts.radiotherapy_started(next(day)),
            )
            participant_ids.append(study.register(*stated, user=f"site@{site}"))
            days.update(DAY.findall(" ".join(fact.model_dump_json() for fact in stated)))
        participant_id = study.wait_until_known(participant_ids[0])
        followed = (
            facts.radiotherapy_completed(next(day)),
            toxicity.toxicity_assessed(next(day), toxicity.finding()),
            followup.follow_up_recorded(next(day)),
            followup.disease_progressed(next(day), "L1"),
        )
        later: list[tuple[str, Fact]] = [(participant_id, fact) for fact in followed]
        later += [(woman, followup.participant_died(next(day))) for woman in participant_ids[:6]]
        for number, fact in later:
            study.wait_until_known(number)
            assert study.record_fact(number, fact).status_code == 201, service_for(fact)
            days.update(DAY.findall(fact.model_dump_json()))
        study.wait_for_analytics()
        assert study.record_study_fact(facts.cut_taken("published", CUT_DAY)).status_code == 201
        study.wait_for_analytics()
        wait_until(lambda: are_documents_made(study), "the documents of the data cut are made", SEAL_TIMEOUT_SECONDS)
        other_days = set(DAY.findall(study.get("", "administrator").text))
        for service in ("enrollment", "toxicity", "followup", "analytics"):  # the examples of the documentation
            other_days.update(DAY.findall(study.http.get(f"/{service}/openapi.json").text))
        event_id = study.get(f"participants/{participant_id}/history").json()["events"][0]["event_id"]
        yield StudyForReaders(study, participant_id, frozenset(days - other_days), event_id)


def are_documents_made(study: StudyUnderTest) -> bool:
    answer = study.get_analytics("documents", "investigator", at="cut:published")
    return answer.status_code == 200 and answer.json()["complete"] is True


def api_routes() -> Iterator[APIRoute]:
    for create_app in (create_enrollment, create_toxicity, create_followup, create_analytics):
        yield from (route for route in create_app(Settings()).routes if isinstance(route, APIRoute))


def addresses(route: APIRoute, published: StudyForReaders) -> set[str]:
    """Returns the addresses of a route for that study and its participant."""
    choices = {
        "study_id": [published.study.study_id],
        "participant_id": [published.participant_id],
        "name": [*FIGURES],
        "kind": ["json", "csv", "svg"],
        "content": ["0123456789abcdef"],
        "code": ["small-groups"],
        "dictionary": ["ctcae-3.0"],
        "type": ["study.closed", "procedure.performed", "toxicity.assessed", "participant.died"],
        "event_id": [published.event_id],
        "secret": ["A" * 22],
    }
    names = re.findall(r"{(\w+)", route.path)
    pattern = re.sub(r"{(\w+)[^}]*}", r"{\1}", route.path)
    return {
        pattern.format(**dict(zip(names, values, strict=True))) for values in product(*map(choices.__getitem__, names))
    }


def read_as_reader(published: StudyForReaders, method: str, address: str, params: dict[str, str]) -> tuple[int, str]:
    """Returns status and body; of an event stream what comes at once."""
    study, headers = published.study, {**published.study.authorization("reader"), "Accept": "*/*"}
    if not address.endswith("/live"):
        name = address.rpartition("/")[2]
        content = EXAMPLE_BODIES.get(name, {}) if method == "POST" else None
        params = {**params, "dry_run": "true"} if "/facts" in address and method == "POST" else params
        answer = study.http.request(method, address, params=params, json=content, headers=headers)
        return answer.status_code, answer.text + str(answer.headers)
    with study.http.stream(method, address, params=params, headers=headers) as stream:
        return stream.status_code, "\n".join(islice(stream.iter_lines(), 4))


def test_no_answer_to_a_reader_has_a_day_of_a_participant(published: StudyForReaders) -> None:
    requests = {
        (method, address)
        for route in api_routes()
        for method in route.methods or ()
        for address in addresses(route, published)
    }
    assert len(requests) >= 130
    assert len(published.participant_days) >= 50
    statuses = dict[tuple[str, str], int]()
    for (method, address), params in product(sorted(requests), QUERIES):
        if params and (method == "POST" or published.study.study_id not in address):
            continue
        status, content = read_as_reader(published, method, address, params)
        assert status < 500, (method, address, content)
        assert not set(DAY.findall(content)) & published.participant_days, (method, address, params)
        if not params:
            statuses[method, address] = status
    prefix = f"/analytics/v1/studies/{published.study.study_id}/figures"
    assert {statuses["GET", f"{prefix}/{name}.svg"] for name in ("flow", "accrual", "overall-survival")} == {200}
    assert {statuses["GET", f"{prefix}/{name}.json"] for name in ("treatments", "swimmer")} == {403}


def test_reader_is_answered_at_the_addresses_of_publications_alone(published: StudyForReaders) -> None:
    study = published.study
    answered = {
        address
        for route in api_routes()
        if "GET" in (route.methods or ()) and "{study_id}" in route.path and route.path.startswith("/analytics")
        for address, params in product(addresses(route, published), ({}, {"at": "cut:published"}))
        if read_as_reader(published, "GET", address, params)[0] == 200
    }
    figures = [name for name, figure in FIGURES.items() if not figure.DISCLOSURE.person_level]
    api, page = study.address("", "analytics").rstrip("/"), f"/analytics/studies/{study.study_id}"
    assert answered == {
        *(f"{api}/{path}" for path in ("position", "live", "figures", "report.pdf")),
        *(f"{api}/figures/{name}.{kind}" for name in figures for kind in ("json", "csv", "svg")),
        *(f"{page}/figures/{name}" for name in figures),
        page,
        f"{page}/headline",
    }


def days_from_origin(answer: Any) -> Iterator[float]:
    """Yields the numbers of a figure that are days from the origin, at any depth."""
    members = list(answer.items()) if isinstance(answer, dict) else []
    for name, value in members:
        if name in ("time", "start", "end", "planned_until") and value is not None:
            yield value
        if name == "median" and isinstance(value, dict):
            yield from (day for day in value.values() if day is not None)
    for part in answer if isinstance(answer, list) else (value for _, value in members):
        yield from days_from_origin(part)


def test_readers_see_no_day_from_the_origin_but_ends_of_months(published: StudyForReaders) -> None:
    ends = {day for month in range(200) for day in (month * DAYS_OF_MONTH, int(month * DAYS_OF_MONTH))}
    days = {role: set[float]() for role in ("reader", "investigator")}
    for name, figure in FIGURES.items():
        if figure.DISCLOSURE.person_level:
            continue
        for role, numbers in days.items():
            params = {"at": "cut:published"}
            numbers.update(
                days_from_origin(published.study.get_analytics(f"figures/{name}.json", role, **params).json())
            )
            table = published.study.get_analytics(f"figures/{name}.csv", role, **params).text
            numbers.update(float(row["Day"]) for row in csv.DictReader(io.StringIO(table)) if row.get("Day"))
    assert any(day == int(day) > 0 for day in days["reader"])  # a point of a curve, and not a landmark alone
    assert days["reader"] <= ends
    assert len(days["investigator"] - ends) >= 6  # so that the test would find them


def test_days_of_participants_are_there_for_others(published: StudyForReaders) -> None:
    """The test above would find a day that a reader is shown."""
    timeline = published.study.get_analytics(f"participants/{published.participant_id}/timeline.json").text
    assert set(DAY.findall(timeline)) & published.participant_days


def test_reader_gets_the_counts_of_the_whole_study_in_every_format(published: StudyForReaders) -> None:
    flow = published.study.figure("flow", "reader")
    assert (flow["enrolled"], flow["died"], flow["stereotactic"]) == (11, 6, 0)
    assert flow["publication"] == {"cut": "published", "edition": "published"}
    by_sex = published.study.figure("accrual", "reader", by="sex")
    assert {group["name"]: group["enrolled"] for group in by_sex["groups"]} == {"female": 6, "male": 5}
    for kind, text in (("csv", "Enrolled,11"), ("svg", "publication published")):
        answer = published.study.get_analytics(f"figures/flow.{kind}", "reader")
        assert (answer.status_code, text in answer.text) == (200, True)


def test_reader_gets_one_refusal_for_all_groups_that_are_not_published(published: StudyForReaders) -> None:
    requests: list[tuple[str, dict[str, Any]]] = [
        ("accrual", {"by": "site"}),
        ("accrual", {"site": "rome"}),
        ("accrual", {"site": "milan"}),
        ("flow", {"site": "milan"}),
        ("flow", {"subset": "stereotactic"}),
        ("accrual", {"by": "sex", "site": "rome"}),
    ]
    answers = [
        published.study.get_analytics(f"figures/{name}.{kind}", "reader", **params)
        for name, params in requests
        for kind in ("json", "csv", "svg")
    ]
    assert {(answer.status_code, answer.json()["type"]) for answer in answers} == {(403, "/problems/small-groups")}
    assert all(is_indistinguishable(answers[0], answer) for answer in answers)


def test_reader_is_refused_every_other_address_of_the_study(published: StudyForReaders) -> None:
    lists = (
        "queries.json",
        "literature.json",
        "literature.csv",
        "participants.json",
        "worklist.json",
        "worklist.csv",
        "worklist.ics",
        "operations.json",
        "reads",
    )
    requests: list[tuple[str, dict[str, str]]] = [
        (path, {}) for path in (*lists, "figures/treatments.svg", "figures/swimmer.svg")
    ]
    for path, params in (*requests, ("documents", {"at": "cut:published"})):
        answer = published.study.get_analytics(path, "reader", **params)
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/readers-see-cuts")


def test_live_stream_tells_readers_of_data_cuts_alone(demo: Demo) -> None:
    with open_study(demo) as study:
        study.enroll_at("rome")
        study.wait_for_analytics()
        headers = study.authorization("reader")
        with study.http.stream("GET", study.address("live", "analytics"), headers=headers) as stream:
            lines = stream.iter_lines()
            assert next(lines) == "retry: 2000"
            study.enroll_at("rome")
            assert study.record_study_fact(facts.site_activated("paris")).status_code == 201
            study.wait_for_analytics()
            assert study.record_study_fact(facts.cut_taken()).status_code == 201
            position = study.wait_for_analytics()
            events = lines_until(lines, f"data: {position}")
        assert [line for line in events if line.startswith(("event", "data"))] == ["event: cut", f"data: {position}"]


def lines_until(lines: Iterator[str], last: str) -> list[str]:
    deadline, received = time.monotonic() + TIMEOUT_SECONDS, list[str]()
    while last not in received:
        assert time.monotonic() < deadline
        received.append(next(lines))
    return received


def test_reader_of_the_reference_study_sees_the_published_cohort(demo: Demo) -> None:
    flow = demo.figure("flow", role="reader")
    assert (flow["enrolled"], flow["stereotactic"], flow["stereotactic_percent"]) == (31, 4, 12.9)
    assert (flow["publication"], flow["cut"]) == ({"cut": "paper", "edition": "paper"}, "2025-01-31")
    with demo.client("reader") as http:
        page = http.get("/analytics/studies/atc-rt", headers={"Accept": "text/html"})
    assert (page.status_code, "Publication <b data-publication>paper</b>" in page.text) == (200, True)


def test_reader_of_a_study_without_a_cut_is_told_that_nothing_is_published(demo: Demo) -> None:
    with open_study(demo) as study:
        study.wait_for_analytics()
        answers: list[httpx.Response] = [
            study.get_analytics(path, "reader") for path in ("position", "figures/flow.json")
        ]
        assert {(answer.status_code, json.loads(answer.content)["type"]) for answer in answers} == {
            (404, "/problems/nothing-published")
        }
