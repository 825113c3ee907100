"""No page leads a reader to what that reader may not open: members of every role follow every link of every page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urldefrag, urljoin, urlsplit

import pytest

from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as followup
from shared.testing.builders import toxicity_facts as toxicity
from tests.api.support.form_browser import FormBrowser, form_browser, pages_of
from tests.api.support.study import ALL_USERS, StudyUnderTest, open_study
from tests.demo import Demo

MAX_PAGES_OF_A_KIND = 5
"""Pages that are opened of each kind: addresses that differ in numbers, ids and parameters are of one kind."""


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    """A study with a treated participant at each site, one who transferred, and one in screening."""
    with open_study(demo) as study:
        numbers = [_treat_at(study, "rome"), _treat_at(study, "milan"), _treat_at(study, "rome")]
        assert study.record_fact(numbers[2], facts.participant_transferred("milan", 300)).status_code == 201
        numbers.append(study.register(facts.participant_screened(site_id="rome")))
        for number in numbers:
            study.wait_until_known(number)
        assert study.record_study_fact(facts.cut_taken()).status_code == 201
        study.wait_for_analytics()
        yield study


def _treat_at(study: StudyUnderTest, site: str) -> str:
    number = study.enroll_at(
        site, facts.lesion_registered(), facts.radiotherapy_started(0), facts.radiotherapy_completed()
    )
    for fact in (toxicity.serious_event_reported(), followup.follow_up_recorded(95)):
        assert study.record_fact(number, fact, f"site@{site}").status_code == 201
    return number


@pytest.mark.parametrize("user", ALL_USERS)
def test_every_link_leads_to_a_page_that_its_reader_may_open(study: StudyUnderTest, user: str) -> None:
    with form_browser(study, user) as browser:
        opened = dict(_follow_links(study, browser))
    refused = {address: reason for address, reason in opened.items() if reason[0] >= 400}
    assert len(opened) > 5
    assert refused == {}


def _follow_links(study: StudyUnderTest, browser: FormBrowser) -> Iterator[tuple[str, tuple[int, str]]]:
    """Yields each address of the study that links lead to, with its status and the page that led there."""
    cohort, today = f"/analytics/studies/{study.study_id}", datetime.now(UTC).date()
    starts = [
        "/",
        cohort,
        pages_of(study),
        *(f"{pages_of(study, name)}/recorded?on={today}" for name in ("enrollment", "toxicity", "followup")),
    ]
    waiting, addresses, kinds = [(start, "") for start in starts], set(starts), dict[str, int]()
    while waiting:
        address, origin = waiting.pop(0)
        kind = _kind_of(address)
        kinds[kind] = kinds.get(kind, 0) + 1
        if kinds[kind] > MAX_PAGES_OF_A_KIND:
            continue
        page = browser.open(address)
        yield address, (page.status, origin)
        if "text/html" in page.response.headers.get("content-type", ""):
            for link in page.parser.addresses:
                target = urldefrag(urljoin(address, link)).url
                if target not in addresses and _is_of_study(study, target):
                    addresses.add(target)
                    waiting.append((target, address))


def _is_of_study(study: StudyUnderTest, address: str) -> bool:
    parts = urlsplit(address)
    return not parts.netloc and f"/studies/{study.study_id}" in parts.path


def _kind_of(address: str) -> str:
    parts = urlsplit(address)
    steps = [
        "#" if any(letter.isdigit() for letter in step) and "." not in step else step for step in parts.path.split("/")
    ]
    return "/".join(steps)
