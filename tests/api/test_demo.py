"""The demo as its user sees it: its port, its page and its commands."""

from __future__ import annotations

import json
import re
import secrets
import time
from itertools import product
from statistics import median
from typing import Any, get_args

import httpx
import pytest

from infra.local.demo_links import LIVE_STUDY
from infra.local.ports import free_port
from infra.reference.study import FROZEN_TODAY, OPENING_DATA, SITE_ID, STUDY_ID
from services.analytics.figures.registry import FIGURES
from shared.kernel.fact import Role
from tests.chaos.support.processes import wait_until
from tests.demo import SCREENING_DATA, Demo
from tests.quartal_command import run_quartal

ENROLLMENT, ANALYTICS = f"/enrollment/v1/studies/{STUDY_ID}", f"/analytics/v1/studies/{STUDY_ID}"
TIMEOUT_SECONDS = 20.0  # seconds until a promise counts as broken
FILES = [f"{figure}.{kind}" for figure in FIGURES for kind in ("json", "csv", "svg")]


def screen_participant(demo: Demo, key: str | None = None) -> dict[str, Any]:
    """The response to a new participant's screening, as the site sends it."""
    with demo.client("site", SITE_ID, **{"Idempotency-Key": key or secrets.token_hex(8)}) as http:
        response = http.post(f"{ENROLLMENT}/participants", json=SCREENING_DATA)
    assert response.status_code == 201, response.text
    return dict(response.json())


def cli_output(demo: Demo, *arguments: str) -> str:
    result = run_quartal(arguments, demo.environment)
    assert result.returncode == 0, result.stderr or result.stdout
    return result.stdout


def figure_files(demo: Demo, position: int, **params: str) -> dict[str, bytes]:
    """Returns the bytes of each file of each figure at a position."""
    with demo.client("investigator") as http:
        responses = {name: http.get(f"{ANALYTICS}/figures/{name}", params={"at": position, **params}) for name in FILES}
    assert {response.status_code for response in responses.values()} == {200}
    return {name: response.content for name, response in responses.items()}


def test_reference_study_has_the_numbers_of_the_published_cohort(demo: Demo) -> None:
    flow = demo.figure("flow")
    assert (flow["enrolled"], flow["stereotactic"]) == (31, 4)
    assert (flow["stereotactic_percent"], flow["stereotactic_interval"]) == (12.9, [3.6, 29.8])


def test_recorded_fact_changes_the_figure_but_not_its_earlier_position(demo: Demo) -> None:
    before = demo.figure("flow")
    screen_participant(demo)
    wait_until(lambda: demo.figure("flow") != before, "the figure changes", TIMEOUT_SECONDS)
    after = demo.figure("flow")
    assert (after["position"], after["screened"]) == (before["position"] + 1, before["screened"] + 1)
    assert demo.figure("flow", at=str(before["position"])) == before


def test_repeated_request_with_one_key_records_one_event(demo: Demo) -> None:
    before, key = demo.figure("flow"), secrets.token_hex(8)
    first = screen_participant(demo, key)
    assert screen_participant(demo, key) == first
    participant = f"{ENROLLMENT}/participants/{first['participant_id']}"
    failure = {"failed_on": FROZEN_TODAY, "reason_codes": ["refused"]}
    with demo.client("site", SITE_ID) as http:
        http.post(f"{participant}/facts/participant.screen_failed", json=failure).raise_for_status()
        event_types = [event["type"] for event in http.get(f"{participant}/history").json()["events"]]
    assert event_types == ["participant.screened", "participant.screen_failed"]
    wait_until(lambda: demo.figure("flow")["screen_failed"] > before["screen_failed"], "the last fact is counted")
    after = demo.figure("flow")
    assert (after["position"], after["screened"]) == (before["position"] + 2, before["screened"] + 1)


def test_live_stream_announces_a_fact_within_a_second(demo: Demo) -> None:
    delays = []
    with demo.client("investigator") as http, http.stream("GET", f"{ANALYTICS}/live") as stream:
        lines = stream.iter_lines()
        for _ in range(5):
            before = demo.figure("flow")
            screen_participant(demo)
            answered_at = time.monotonic()
            position = _next_position(lines, "flow", before["position"])
            delays.append(time.monotonic() - answered_at)
            assert demo.figure("flow", at=str(position))["screened"] == before["screened"] + 1
    assert median(delays) < 1.0


def _next_position(lines: Any, figure: str, since: int) -> int:
    """Returns the first position after `since` in an event of the figure."""
    event = ""
    for line in lines:
        name, _, value = line.partition(": ")
        if name == "event":
            event = value
        elif name == "data" and event == figure and int(value) > since:
            return int(value)
    raise AssertionError("the stream ended")


@pytest.mark.parametrize("role", ["reader", "monitor"])
def test_token_of_a_new_member_works_at_once(demo: Demo, role: str) -> None:
    token = cli_output(demo, "token", "--study", STUDY_ID, "--role", role, "--subject", f"new-{secrets.token_hex(4)}")
    response = httpx.get(f"{demo.url}{ANALYTICS}/figures/flow.json", headers=_bearer(token), trust_env=False)
    assert (response.status_code, response.json()["enrolled"]) == (200, 31)


def test_token_of_a_new_site_member_works_at_once(demo: Demo) -> None:
    options = ("--role", "site", "--site", SITE_ID, "--subject", f"nurse-{secrets.token_hex(4)}")
    token = cli_output(demo, "token", "--study", STUDY_ID, *options)
    response = httpx.post(
        f"{demo.url}{ENROLLMENT}/participants", json=SCREENING_DATA, headers=_bearer(token), trust_env=False
    )
    assert response.status_code == 201, response.text


def test_administrator_token_can_open_a_new_study(demo: Demo) -> None:
    study = f"new-{secrets.token_hex(4)}"
    token = cli_output(demo, "token", "--study", study, "--role", "administrator")
    request = {"study_id": study, **OPENING_DATA}
    response = httpx.post(
        f"{demo.url}/enrollment/v1/studies", json=request, headers=_bearer(token), timeout=30, trust_env=False
    )
    assert response.status_code == 201, response.text


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.strip()}"}


def test_relay_status_lists_the_publisher_of_each_service(demo: Demo) -> None:
    table = cli_output(demo, "relay", "status")
    for service in ("enrollment", "toxicity", "followup"):
        assert re.search(rf"│ {service}\s+│ 0\s+│", table), table
    assert "no worker" not in table


def test_doctor_reports_no_problem_and_prints_no_secret(demo: Demo) -> None:
    table = cli_output(demo, "doctor")
    assert len(re.findall("^ok  ", table, re.MULTILINE)) == 13
    environment = json.loads((demo.data / "state.json").read_text())["environment"]
    urls = [httpx.URL(url) for name, url in environment.items() if name.endswith("_URL")]
    passwords = [url.password for url in urls if url.password]  # the mail server of our own has none
    assert len(passwords) == 12
    assert not [password for password in passwords if password in table]


def test_rebuild_from_the_journal_reproduces_every_figure(demo: Demo) -> None:
    with demo.client("investigator") as http:
        position = http.get(f"{ANALYTICS}/position").json()
    before = figure_files(demo, position["position"])
    assert cli_output(demo, "rebuild", "analytics") == "analytics: rebuilt from the journal\n"
    cache_bypass = {"epoch": position["epoch"]}  # the same positions; cached responses are found by their parameters
    assert figure_files(demo, position["position"], **cache_bypass) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--study", STUDY_ID, "--role", "site", "--site", "nowhere"), f"no site of that id. Its sites: {SITE_ID}."),
        (("--study", STUDY_ID, "--role", "coordinator", "--site", "nowhere"), "no site of that id."),
        (("--study", "no-such-study", "--role", "monitor"), "no study of that id here"),
        (("--study", "no-such-study", "--role", "site", "--site", "rome"), "no study of that id here"),
        (("--study", STUDY_ID, "--role", "administrator", "--site", SITE_ID), "Leave --site out"),
        (("--study", STUDY_ID, "--role", "site"), "Add --site"),
        (("--study", STUDY_ID, "--role", "nurse"), "There is no role"),
    ],
)
def test_token_for_an_unknown_scope_is_refused_and_records_nothing(
    demo: Demo, options: tuple[str, ...], message: str
) -> None:
    fact_count = count_study_facts(demo)
    result = run_quartal(["token", *options], demo.environment)
    assert (result.returncode, result.stdout) == (2, "")
    assert message in result.stderr
    assert count_study_facts(demo) == fact_count


def test_resync_is_refused_while_a_worker_publishes(demo: Demo) -> None:
    result = run_quartal(["relay", "resync", "--service", "enrollment", "--yes"], demo.environment)
    assert (result.returncode, result.stdout) == (1, "")
    assert "a worker publishes now" in result.stderr


def test_running_demo_was_checked_against_the_published_events(demo: Demo) -> None:
    report = cli_output(demo, "doctor")
    for service in ("enrollment", "toxicity", "followup"):
        assert (
            f"ok      {service}: the database was compared with what was published, so facts can be recorded" in report
        )


def count_study_facts(demo: Demo) -> int:
    """Returns the number of the study's own facts."""
    with demo.client("administrator") as http:
        return len(http.get(ENROLLMENT).raise_for_status().json()["facts"])


def test_second_demo_on_the_same_data_is_refused_and_leaves_the_first_running(demo: Demo) -> None:
    assert demo.process
    second = run_quartal(["demo"], Demo(demo.data, free_port()).environment)
    assert second.returncode == 1
    assert second.stderr == (
        f"{demo.data} is in use by a running Quartal (process {demo.process.pid} at {demo.url}). "
        "Stop it first, or set QUARTAL_DATA to another folder.\n"
    )
    assert demo.process.poll() is None
    assert demo.figure("flow")["enrolled"] == 31


def test_demo_prints_a_working_sign_in_link_for_every_role_of_each_study(demo: Demo) -> None:
    printed = demo.log.read_text().rpartition("Ready: ")[2]
    links = re.findall(rf"{demo.url}/session/development\S+", printed)
    studies_and_roles = [(link.params["study"], link.params["role"]) for link in map(httpx.URL, links)]
    assert sorted(studies_and_roles) == sorted(product((STUDY_ID, LIVE_STUDY), get_args(Role)))
    for link in links:
        with httpx.Client(trust_env=False, timeout=30) as browser:
            sign_in = browser.get(link, headers={"Sec-Fetch-Site": "none"})  # opened from the terminal
            assert (sign_in.status_code, f"quartal-session-{demo.port}" in sign_in.cookies) == (303, True)
            page = browser.get(f"{demo.url}{sign_in.headers['location']}")
        assert page.status_code == 200
        enrolled = re.findall(r'data-number="?enrolled"?[^>]*>([0-9]+)<', page.text)
        assert enrolled
        if f"study={STUDY_ID}" in link:
            assert set(enrolled) == {"31"}


def test_coordinators_of_the_demo_are_subscribed_and_the_outbox_shows_what_was_sent(demo: Demo) -> None:
    for study in (STUDY_ID, LIVE_STUDY):
        with demo.client("coordinator", study=study) as http:
            subscription = http.get(f"/analytics/v1/studies/{study}/subscription").json()
        assert subscription["confirmed"] is True
        assert subscription["confirmed_email"] == f"coordinator.study-wide@{study}.localhost"
    outbox = httpx.get(f"{demo.url}/outbox", trust_env=False).text
    assert f"Quartal {STUDY_ID}: confirm this address" in outbox
    assert f"{demo.url}/outbox" in demo.log.read_text()
    assert 'href="/outbox"' in httpx.get(demo.url, trust_env=False).text


def test_outbox_answers_this_machine_alone(demo: Demo) -> None:
    for host in ("quartal.example", f"elsewhere.example:{demo.port}"):
        answer = httpx.get(f"{demo.url}/outbox", headers={"Host": host}, trust_env=False)
        assert answer.status_code == 421
    assert httpx.get(f"{demo.url}/outbox/unknown", trust_env=False).status_code == 404
