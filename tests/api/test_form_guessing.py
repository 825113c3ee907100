"""Guessing through forms, by people who are signed in and send what no browser would.

Every form of every service takes bodies with the right token from the right origin, and records nothing that its sender
may not record, tells nothing of what the sender may not see, and repeats no text outside the sender's own page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import asyncpg
import httpx
import pytest

from shared.contracts.catalogue import STUDY
from shared.kernel.fact import Fact
from shared.kernel.ids import new_participant_id
from shared.postgres.statements import compose_statement
from shared.testing.builders import facts
from shared.testing.builders import toxicity_facts as toxicity
from shared.web.authentication import SESSION
from shared.web.cookies import Cookies
from tests.api.support.form_bodies import FACTS, STREAM_BY_SERVICE, example_pairs, send, token_of, versions
from tests.api.support.form_browser import FormBrowser, Page, form_browser, form_of, pages_of
from tests.api.support.study import StudyUnderTest, demo_environment, find_event_id, open_study
from tests.demo import Demo

KEPT, MARK = "Zq-kept-with-rome-Xw", "Zq-marked-typed-Xw"
NUMBER = re.compile(r"[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]")
TOKEN = re.compile(r'(name="form:(?:csrf|key)"(?: value="| hidden>\n))[^"<]*')


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        yield study


@pytest.fixture(scope="module")
def participant_id(study: StudyUnderTest) -> str:
    """A participant of Rome with texts of the site."""
    treatment = (facts.lesion_registered(), facts.radiotherapy_started(), facts.procedure_performed(detail=KEPT))
    participant_id = study.enroll_at("rome", *treatment, local_reference=f"{KEPT} 1")
    assert study.record_fact(participant_id, toxicity.serious_event_reported(narrative=KEPT)).status_code == 201
    return study.wait_until_known(participant_id)


@pytest.fixture(scope="module")
def milan(study: StudyUnderTest) -> Iterator[FormBrowser]:
    with form_browser(study, "site@milan") as browser:
        yield browser


@pytest.fixture(scope="module")
def milan_participant(study: StudyUnderTest) -> str:
    return study.wait_until_known(study.enroll_at("milan"))


def anonymous(response: httpx.Response) -> tuple[int, str]:
    """Returns status and text without numbers, keys and tokens."""
    return response.status_code, NUMBER.sub("…", TOKEN.sub(r"\1", response.text))


@pytest.mark.parametrize(("service", "kind"), FACTS, ids=lambda value: getattr(value, "type_name", value))
def test_form_of_another_sites_participant_records_nothing_and_tells_nothing(
    study: StudyUnderTest, milan: FormBrowser, participant_id: str, service: str, kind: type[Fact]
) -> None:
    pairs = example_pairs(kind)
    for button in ("record", "check", "find"):
        foreign = send(milan, study, form_of(study, participant_id, kind.type_name, service), pairs, button)
        unknown = send(milan, study, form_of(study, new_participant_id(), kind.type_name, service), pairs, button)
        assert foreign.status_code == 404
        assert anonymous(foreign) == anonymous(unknown)
        assert KEPT not in foreign.text


@pytest.fixture(scope="module", autouse=True)
def nothing_is_recorded_of_the_participant(study: StudyUnderTest, participant_id: str) -> Iterator[None]:
    before = versions(study, participant_id)
    yield
    assert versions(study, participant_id) == before


def test_events_of_others_have_no_page_and_no_correction(
    study: StudyUnderTest, milan: FormBrowser, participant_id: str, milan_participant: str
) -> None:
    """Not under their own number, not under that of a participant whom the sender sees, not in another service."""
    lesion = find_event_id(study, participant_id, "lesion.registered")
    event = find_event_id(study, participant_id, "toxicity.serious_event_reported", "toxicity")
    correction = [("reason_code", "typing_error"), ("replacement.data.kind", "primary")]
    for service in STREAM_BY_SERVICE:
        for number in (participant_id, milan_participant):
            for event_id in (lesion, event, "00000000-0000-0000-0000-000000000000"):
                base = f"{pages_of(study, service)}/participants/{number}"
                assert milan.open(f"{base}/events/{event_id}").status == 404
                refused = send(milan, study, f"{base}/corrections/{event_id}", correction)
                assert refused.status_code == 404
                assert KEPT not in refused.text
        assert milan.open(f"{pages_of(study, service)}/events/{lesion}").status == 404


@pytest.mark.parametrize(
    ("service", "type_name", "name", "value"),
    [
        ("enrollment", "procedure.performed", "lesion_ids", "L1"),
        ("enrollment", "radiotherapy.completed", "course_id", "RT1"),
        ("enrollment", "participant.transferred", "to_site", "paris"),
        ("toxicity", "toxicity.assessed", "course_id", "RT1"),
        ("toxicity", "toxicity.serious_event_updated", "serious_event_id", "SAE1"),
        ("followup", "disease.progressed", "lesion_id", "L1"),
        ("followup", "followup.visit_missed", "course_id", "RT1"),
    ],
)
def test_ids_that_only_another_participant_has_are_refused(
    study: StudyUnderTest,
    milan: FormBrowser,
    milan_participant: str,
    service: str,
    type_name: str,
    name: str,
    value: str,
) -> None:
    kind = STREAM_BY_SERVICE[service].declared_facts[type_name]
    before = versions(study, milan_participant)
    pairs = [pair for pair in example_pairs(kind) if pair[0].partition(".")[0] != name]
    refused = send(milan, study, form_of(study, milan_participant, type_name, service), [*pairs, (name, value)])
    assert refused.status_code in (409, 422), refused.text
    assert versions(study, milan_participant) == before


def test_participant_is_screened_at_the_own_site_whatever_the_form_says(
    study: StudyUnderTest, milan: FormBrowser
) -> None:
    screening = [("site_id", "rome"), ("screened_on", "2024-02-01"), ("sex", "other"), ("birth_year", "1950")]
    answers = [("criteria.histology", "met"), ("criteria.rt-indicated", "met")]
    answer = send(milan, study, f"{pages_of(study)}/participants/new", [*screening, *answers])
    assert answer.status_code == 303
    number = NUMBER.findall(answer.headers["location"])[0]
    assert study.get(f"participants/{number}", "investigator").json()["site_id"] == "milan"


@pytest.mark.parametrize("kind", STUDY.declared_facts.values(), ids=lambda kind: kind.type_name)
def test_facts_of_the_study_are_not_recorded_by_a_site(
    study: StudyUnderTest, milan: FormBrowser, kind: type[Fact]
) -> None:
    before = study.get("", "administrator").json()["version"]
    address = f"{pages_of(study)}/facts/{kind.type_name}"
    assert send(milan, study, address, example_pairs(kind)).status_code in (403, 404)
    assert send(milan, study, address.replace(study.study_id, "no-such-study"), []).status_code == 404
    assert study.get("", "administrator").json()["version"] == before


@pytest.mark.parametrize("headers", [{"Origin": "null", "Sec-Fetch-Site": ""}, {"Sec-Fetch-Site": "cross-site"}])
def test_form_of_another_origin_repeats_nothing(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str, headers: dict[str, str]
) -> None:
    address = form_of(study, participant_id, "procedure.performed")
    refused = send(rome, study, address, [("detail", MARK)], **headers)
    assert refused.status_code == 403
    assert MARK not in refused.text


@pytest.mark.parametrize("service", STREAM_BY_SERVICE)
def test_expired_session_repeats_what_was_typed_to_its_own_browser_alone(
    study: StudyUnderTest, participant_id: str, service: str
) -> None:
    type_name, name = {
        "enrollment": ("procedure.performed", "detail"),
        "toxicity": ("toxicity.serious_event_reported", "narrative"),
        "followup": ("followup.recorded", "note"),
    }[service]
    address = form_of(study, participant_id, type_name, service)
    with form_browser(study, "site@rome") as browser:
        token_of(browser, study)
        cookie = Cookies(plain_http=True, port=study.demo.port).name(SESSION)
        expired = study.authorization("site@rome", age=timedelta(days=2))["Authorization"].removeprefix("Bearer ")
        for session in (expired, "forged", ""):
            browser.http.cookies.delete(cookie)
            browser.http.cookies.set(cookie, session)
            signed_out = send(browser, study, address, [(name, MARK)])
            assert signed_out.status_code == 401
            assert MARK in signed_out.text
            page = Page(signed_out)
            assert ("L1" in page.text, "lesion_ids" in page.names) == (False, False), page.text
            foreign = send(browser, study, address, [(name, MARK), ("form:csrf", "A" * 22)])
            assert (foreign.status_code, MARK in foreign.text) == (403, False)


@pytest.mark.parametrize("typed", ["\x00", "a\u202eb", "K7F2-9QXA-4", "x" * 100_000, "' or 1=1 --"])
def test_search_for_a_participant_takes_any_text(study: StudyUnderTest, milan: FormBrowser, typed: str) -> None:
    for name in ("number", "local_reference"):
        answer = send(milan, study, f"{pages_of(study)}/participants/find", [(name, typed)], "find")
        assert answer.status_code == 422
        assert KEPT not in answer.text


def test_reference_of_another_site_is_not_found(
    study: StudyUnderTest, milan: FormBrowser, rome: FormBrowser, participant_id: str
) -> None:
    address = f"{pages_of(study)}/participants/find"
    assert send(rome, study, address, [("local_reference", f"{KEPT} 1")], "find").status_code == 303
    assert send(milan, study, address, [("local_reference", f"{KEPT} 1")], "find").status_code == 422
    assert send(milan, study, address, [("number", participant_id)], "find").status_code == 422


async def test_texts_are_in_no_log_and_not_in_the_database_of_analytics(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    """A text that is refused, one that is recorded, and one of an expired session."""
    address = form_of(study, study.enroll_at("rome"), "procedure.performed")
    procedure = [("performed_on", "2024-03"), ("kind", "biopsy"), ("body_site", "lung"), ("detail", MARK)]
    assert send(rome, study, address, procedure).status_code == 303
    assert send(rome, study, address, [*procedure, ("kind", "surgery")]).status_code == 422
    study.wait_for_analytics()
    for path in (path for path in study.demo.data.rglob("*.log") if path.is_file()):
        content = path.read_bytes()
        assert not [text for text in (KEPT, MARK) if text.encode() in content], path
    connection = await asyncpg.connect(demo_environment(study.demo)["QUARTAL_ANALYTICS_SYSTEM_URL"])
    try:
        assert await connection.fetchval("select count(*) from journal")
        tables = await connection.fetch(
            "select tablename as name from pg_tables where schemaname = 'public' "
            "and has_table_privilege(format('%I.%I', schemaname, tablename), 'select')"
        )
        assert {"journal", "fact", "events", "mail", "reminder"} <= {table["name"] for table in tables}
        for table in tables:
            query = compose_statement("select count(*) from {table} t where t::text like any($1)", table=table["name"])
            assert await connection.fetchval(query, [f"%{KEPT}%", f"%{MARK}%"]) == 0, table["name"]
    finally:
        await connection.close()
