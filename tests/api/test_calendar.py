"""A member subscribes to the calendar, and a calendar program fetches it at its secret address."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import httpx
import pytest
from icalendar import Calendar

from shared.testing.builders import facts
from tests.api.support.form_browser import form_browser
from tests.api.support.study import ROME_USER, StudyUnderTest, open_study
from tests.demo import Demo


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        yield study


def treat_lately(study: StudyUnderTest) -> tuple[str, date]:
    """Registers a participant whose radiotherapy has ended 60 days ago; returns the number and that day."""
    today = datetime.now(UTC).date()
    started, ended = today - timedelta(days=100), today - timedelta(days=60)
    number = study.enroll_at(
        "rome", facts.radiotherapy_started(started.isoformat()), facts.radiotherapy_completed(ended.isoformat())
    )
    return study.wait_until_known(number), ended


def subscribe(study: StudyUnderTest) -> str:
    body = {"email": f"nurse@{study.study_id}.localhost", "digest": False, "calendar": True}
    response = study.http.put(
        study.address("subscription", "analytics"), json=body, headers=study.authorization(ROME_USER)
    )
    assert response.status_code == 200, response.text
    assert study.get_analytics("subscription", ROME_USER).json() == response.json()
    url: str = response.json()["calendar_url"]
    return url


def test_calendar_is_fetched_without_other_credentials_and_its_address_is_in_no_log(study: StudyUnderTest) -> None:
    number, ended = treat_lately(study)
    url = subscribe(study)
    assert url.startswith(f"{study.demo.url}/analytics/calendars/")
    feed = httpx.get(url, trust_env=False)
    assert (feed.status_code, feed.headers["content-type"]) == (200, "text/calendar; charset=utf-8")
    summaries = {str(event["summary"]) for event in Calendar.from_ical(feed.content).walk("VEVENT")}
    assert f"{number} visit 1 target" in summaries, ended
    assert httpx.get(url, headers={"If-None-Match": feed.headers["ETag"]}, trust_env=False).status_code == 304
    renewed = study.http.post(
        study.address("subscription/calendar", "analytics"), headers=study.authorization(ROME_USER)
    )
    assert renewed.status_code == 200
    assert httpx.get(url, trust_env=False).status_code == 404
    new_url = renewed.json()["calendar_url"]
    assert httpx.head(new_url, trust_env=False).headers["ETag"] == feed.headers["ETag"]
    secrets = [address.rpartition("/")[2].removesuffix(".ics").encode() for address in (url, new_url)]
    logs = [path for path in study.demo.data.rglob("*.log") if path.is_file()]
    assert logs
    for path in logs:
        content = path.read_bytes()
        assert not [secret for secret in secrets if secret in content], path
    metrics = study.http.get("/metrics").content
    assert not [secret for secret in secrets if secret in metrics]


def test_page_shows_the_address_and_replaces_it_without_script(study: StudyUnderTest) -> None:
    url = subscribe(study)
    with form_browser(study, ROME_USER) as browser:
        page = browser.open(f"/analytics/studies/{study.study_id}/subscription")
        assert url in page.text
        page.parser.action = str(page.response.url)
        renewed = browser.press(page, "record", "calendar")
        assert renewed.status == 200
        assert url not in renewed.text
        assert "/analytics/calendars/" in renewed.text
        renewed.parser.action = str(renewed.response.url)
        renewed.fill({"calendar": []})
        assert "/analytics/calendars/" not in browser.press(renewed, "record", "subscription").text
