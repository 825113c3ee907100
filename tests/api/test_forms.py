"""Facts recorded by hand, in a browser without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlencode

import httpx
import pytest

from shared.testing.builders import facts
from shared.testing.builders import toxicity_facts as toxicity
from shared.web.authentication import SESSION
from shared.web.cookies import Cookies
from tests.api.support.form_browser import FormBrowser, form_browser, form_of, pages_of, recorded_types, sign_in
from tests.api.support.lesion_form import SCREENING, open_lesion_form
from tests.api.support.study import ROME_USER, StudyUnderTest, open_study
from tests.demo import Demo

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SECRET = "Zq-typed-by-hand-Xw"


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        yield study


@pytest.fixture
def participant_id(study: StudyUnderTest) -> str:
    return study.enroll_at("rome")


def test_participant_is_screened_and_enrolled_by_forms_that_lead_to_each_other(
    study: StudyUnderTest, rome: FormBrowser
) -> None:
    page = rome.open(f"{pages_of(study)}/participants/new")
    page.fill({**SCREENING, "local_reference": SECRET})
    page = rome.press(page, "record")
    assert page.status == 200
    assert SECRET in page.text
    assert "Fulfilled" in page.text  # as it was chosen, and not the code `met`
    participant_id = re.findall(r"/participants/([0-9A-Z-]{11})/", str(page.response.url))[0]
    page = rome.open(page.parser.links["Informed consent"])
    page.fill({"signed_on": "2024-02-01", "form_version": "2.1"})
    page.fill({f"options.{name}": "true" for name in ("data_use", "registry", "recontact")})
    page = rome.press(page, "record")
    page = rome.open(page.parser.links["Enrollment"])
    page.fill({"enrolled_on": "2024-02-02"})
    page = rome.press(page, "record")
    assert "See it on the timeline" in page.parser.links
    assert recorded_types(study, participant_id) == [
        "participant.screened",
        "participant.consented",
        "participant.enrolled",
    ]


def test_form_offers_the_known_lesions_and_shows_a_dose_in_gray(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    assert rome.press(open_lesion_form(study, rome, participant_id), "record").status == 200
    page = rome.open(form_of(study, participant_id, "radiotherapy.started"))
    assert page.value("course_id") == "RT1"
    assert page.choices("targets.0.lesion_ids") == ["L1"]
    page.fill({"started_on": "2024-02-10", "intent": "palliative", "index": "true"})
    target = {"target_id": "T1", "label": "PTV_1", "modality": "photons", "technique": "VMAT", "fractions": "30"}
    doses = {"dose_per_fraction_cgy": "2 Gy", "total_dose_cgy": "6000", "delivery": "conventional"}
    page.fill({f"targets.0.{name}": value for name, value in {**target, **doses, "lesion_ids": ["L1"]}.items()})
    checked = rome.press(page, "check")
    assert "200 cGy = 2 Gy" in checked.text
    assert "Nothing was recorded yet" in checked.text
    recorded = rome.press(checked, "record")
    assert "6000 cGy = 60 Gy" in recorded.text
    assert recorded_types(study, participant_id)[-1] == "radiotherapy.started"


@pytest.mark.parametrize("typed", ["06/2024", "2,5", ""])
def test_refused_form_keeps_every_value_and_names_the_fault_at_its_field(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str, typed: str
) -> None:
    page = rome.press(open_lesion_form(study, rome, participant_id, found_on=typed, size_mm="12,5"), "record")
    assert page.status == 422
    assert page.text.startswith("Error: ")
    assert page.response.text.count('id="f-found_on-errors"') == 1
    assert (page.value("found_on"), page.value("size_mm"), page.value("kind")) == (typed, "12,5", "metastasis")
    assert "lesion.registered" not in recorded_types(study, participant_id)


def test_enter_presses_the_first_button_which_only_checks(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    """F3: Enter in a text field activates the first button of the document; the one that records is the last."""
    page = open_lesion_form(study, rome, participant_id)
    assert page.parser.buttons[0][0] == "check"
    assert page.parser.buttons[-1][0] == "record"
    assert rome.press(page, *page.parser.buttons[0]).status == 200
    assert "lesion.registered" not in recorded_types(study, participant_id)


def test_rows_are_added_and_removed_without_losing_what_was_typed(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    page = rome.open(form_of(study, participant_id, "systemic_therapy.started"))
    page.fill({"agents.0.name": "Carboplatin"})
    page = rome.press(page, "add", "agents")
    assert "agents.1.name" in page.names
    page.fill({"agents.1.name": "Paclitaxel"})
    page = rome.press(page, "remove", "agents.0")
    assert page.value("agents.1.name") == "Paclitaxel"
    assert "agents.0.name" not in page.names
    page.fill({"on": "2024-02-10", "setting": "palliative"})
    assert "Paclitaxel" in rome.press(page, "record").text


def test_form_is_filled_from_the_address_but_not_with_sealed_texts(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    address = form_of(study, participant_id, "procedure.performed")
    page = rome.open(f"{address}?performed_on=2024-03&kind=biopsy")
    assert (page.value("performed_on"), page.value("kind")) == ("2024-03", "biopsy")
    for query in ("detail=x", "form:key=x", "unknown=1"):
        assert rome.open(f"{address}?{query}").status == 422


def test_pages_send_their_origin_to_their_own_server_and_their_address_to_no_other(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    """W4: under `no-referrer` a browser sends `Origin: null` with our own forms."""
    page = rome.open(form_of(study, participant_id, "lesion.registered"))
    assert page.response.headers["referrer-policy"] == "same-origin"


def test_signing_out_is_a_link_because_a_form_may_not_lead_to_another_origin(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    """W11: `form-action 'self'` would stop the redirect to the identity provider in Chrome."""
    page = rome.open(form_of(study, participant_id, "lesion.registered"))
    assert "form-action 'self'" in page.response.headers["content-security-policy"]
    assert "/session/end" in page.parser.addresses
    actions = re.findall(r'<form[^>]* action="([^"]*)"', page.response.text)
    assert actions == [page.parser.action]


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "null", "Sec-Fetch-Site": ""},
    ],
)
def test_form_of_another_web_site_is_refused_and_not_echoed(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str, headers: dict[str, str]
) -> None:
    """W4: `Origin: null` is that of a sandboxed frame."""
    page = open_lesion_form(study, rome, participant_id, lesion_id="Zq-foreign")
    refused = rome.press(page, "record", **headers)
    assert refused.status == 403
    assert "Zq-foreign" not in refused.response.text


def test_form_without_the_token_of_the_browser_is_refused(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    """W5."""
    page = open_lesion_form(study, rome, participant_id)
    for control in page.parser.controls:
        if control.get("name") == "form:csrf":
            control["value"] = "A" * 22
    assert rome.press(page, "record").status == 403


def test_json_routes_do_not_take_the_session_of_a_browser(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    path = study.address(f"participants/{participant_id}/facts/participant.enrolled")
    assert rome.http.post(path, json={"enrolled_on": "2024-02-02"}).status_code == 401


def session_cookie(study: StudyUnderTest) -> str:
    """Returns the name of the cookie of the session."""
    return Cookies(plain_http=True, port=study.demo.port).name(SESSION)


def test_signed_out_person_loses_nothing_and_analytics_sees_nothing(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    """W6: the service itself keeps what was typed, in the page."""
    page = rome.open(form_of(study, participant_id, "procedure.performed"))
    page.fill({"performed_on": "2024-03-02", "kind": "biopsy", "body_site": "lung", "detail": f"\n{SECRET}\nline"})
    name = session_cookie(study)
    session = rome.http.cookies[name]
    rome.http.cookies.delete(name)
    page_401 = rome.press(page, "record")
    assert page_401.status == 401
    assert SECRET in page_401.text
    assert "Performed on 2024-03-02" in page_401.text
    assert "performed_on" not in page_401.text
    assert "L1" not in page_401.text
    assert "procedure.performed" not in recorded_types(study, participant_id)
    rome.http.cookies.set(name, session)
    back = rome.press(page_401, "check")
    assert back.status == 200
    assert back.value("detail").replace("\r\n", "\n") == f"\n{SECRET}\nline"
    assert rome.press(back, "record").status == 200
    logs = "".join(path.read_text("utf-8", "replace") for path in (study.demo.data / "logs").iterdir())
    assert SECRET not in logs


def test_another_person_cannot_go_on_with_a_form(study: StudyUnderTest, rome: FormBrowser, participant_id: str) -> None:
    """W6: two people share a computer."""
    page = open_lesion_form(study, rome, participant_id, lesion_id="Zq-other")
    rome.http.cookies.delete(session_cookie(study))
    sign_in(rome.http, study, "coordinator@rome")
    refused = rome.press(page, "check")
    assert refused.status == 403
    assert "Zq-other" not in refused.response.text


@pytest.mark.parametrize(
    ("user", "type_name", "status"),
    [
        ("site@milan", "lesion.registered", 404),
        ("monitor", "lesion.registered", 403),
        ("reader", "lesion.registered", 403),
        ("site@rome", "lesion.registered", 200),
        ("site@rome", "record.corrected", 404),
        ("site@rome", "lesion.unheard", 404),
        ("coordinator", "participant.transferred", 403),
    ],
)
def test_form_of_another_role_is_403_and_of_another_site_404(
    study: StudyUnderTest, participant_id: str, user: str, type_name: str, status: int
) -> None:
    with form_browser(study, user) as browser:
        assert browser.open(form_of(study, participant_id, type_name)).status == status


@pytest.mark.parametrize("service", ["toxicity", "followup"])
def test_unknown_foreign_and_not_yet_heard_of_participants_are_404_alike(
    study: StudyUnderTest, participant_id: str, service: str
) -> None:
    """W9."""
    type_name = {"toxicity": "toxicity.assessed", "followup": "followup.recorded"}[service]
    study.wait_until_known(participant_id)
    with form_browser(study, "site@milan") as milan:
        foreign = milan.open(form_of(study, participant_id, type_name, service))
        unknown = milan.open(form_of(study, "K7F2-9QXA-3", type_name, service))
    assert (foreign.status, foreign.text) == (unknown.status, unknown.text)
    assert foreign.status == 404


@pytest.mark.parametrize("participant", ["K7F2-9QXA-3", "of Milan"])
def test_form_about_a_participant_who_is_not_found_keeps_what_was_typed(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str, participant: str
) -> None:
    """W9: the service may have lost a participant meanwhile, or its database is older; what was typed is not lost."""
    study.wait_until_known(participant_id)
    number = study.wait_until_known(study.enroll_at("milan")) if participant == "of Milan" else participant
    page = rome.open(form_of(study, participant_id, "followup.recorded", "followup"))
    page.fill({"seen_on": "2024-05-02", "mode": "phone", "note": SECRET})
    address, page.parser.action = page.parser.action, page.parser.action.replace(participant_id, number)
    not_found = rome.press(page, "record")
    assert (not_found.status, not_found.value("note"), not_found.value("seen_on")) == (404, SECRET, "2024-05-02")
    assert "Not here, not yours, or not here yet" in not_found.text
    assert "Seen on 2024-05-02" in not_found.text
    not_found.parser.action = address
    again = rome.press(not_found, "check")
    assert (again.status, again.value("note"), again.value("seen_on")) == (200, SECRET, "2024-05-02")
    assert rome.press(again, "record").status == 200


def test_form_about_a_participant_who_is_not_found_is_kept_for_nobody_else(
    study: StudyUnderTest, rome: FormBrowser, demo: Demo, participant_id: str
) -> None:
    """Neither for a page without the token, nor for another person, nor for somebody without a part in the study."""
    page = open_lesion_form(study, rome, participant_id, lesion_id="Zq-other")
    page.parser.action = page.parser.action.replace(participant_id, "K7F2-9QXA-3")
    with open_study(demo) as other, form_browser(other, "coordinator@rome") as stranger:
        foreign = open_lesion_form(other, stranger, other.enroll_at("rome"), lesion_id="Zq-other")
        foreign.parser.action = page.parser.action
        refused = stranger.press(foreign, "record")
    assert (refused.status, "Zq-other" in refused.response.text) == (404, False)
    sign_in(rome.http, study, "coordinator@rome")
    refused = rome.press(page, "record")
    assert (refused.status, "Zq-other" in refused.response.text) == (403, False)
    rome.http.cookies.clear()
    sign_in(rome.http, study, ROME_USER)
    refused = rome.press(page, "record")
    assert (refused.status, "Zq-other" in refused.response.text) == (403, False)


def test_form_of_another_service_waits_for_what_was_just_recorded(study: StudyUnderTest, rome: FormBrowser) -> None:
    """W9: the link after recording names the version that the other service has to know."""
    participant_id = study.enroll_at("rome", facts.lesion_registered())
    page = rome.open(f"{form_of(study, participant_id, 'followup.recorded', 'followup')}?after=enrollment=4")
    assert page.status == 200
    assert "disease.lesions.0.status" in page.names
    page.fill({"seen_on": "2024-05-02", "mode": "clinic"})
    assert rome.press(page, "record").status == 200


def test_form_that_comes_too_early_is_shown_again_with_everything_that_was_typed(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    """W9: the service tries again for a while by itself; a page without the answers would lose them."""
    study.wait_until_known(participant_id)
    page = rome.open(f"{form_of(study, participant_id, 'followup.recorded', 'followup')}?after=enrollment=3")
    page.fill({"seen_on": "2024-05-02", "mode": "phone", "note": SECRET})
    for control in page.parser.controls:
        if control.get("name") == "form:after":
            control["value"] = "enrollment=99"
    early = rome.press(page, "record")
    assert (early.status, early.value("note"), early.value("seen_on")) == (409, SECRET, "2024-05-02")
    assert "not here yet: if it was recorded a moment ago, try again" in early.text
    assert recorded_types(study, participant_id, "followup") == []


def test_transfer_leads_to_the_list_because_the_site_no_longer_sees_the_record(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    address = form_of(study, participant_id, "participant.transferred")
    page = rome.record(address, to_site="milan", on="2024-03-01")
    assert (page.status, str(page.response.url).rpartition("/")[2]) == (200, "participants")
    assert participant_id not in page.text
    assert rome.open(address).status == 404


def test_form_asks_analytics_for_nothing(study: StudyUnderTest, rome: FormBrowser, participant_id: str) -> None:
    """W10: sites record while analytics is down."""
    page = rome.open(form_of(study, participant_id, "lesion.registered"))
    files = re.findall(r'(?:src|href)="([^"]+\.(?:css|js|svg))"', page.response.text)
    assert files
    for file in files:
        assert file.startswith("/enrollment/static/")
        response = rome.http.get(file)
        assert (response.status_code, response.headers["cache-control"].endswith("immutable")) == (200, True)


def test_page_of_an_unread_form_leads_to_the_sign_in(study: StudyUnderTest, demo: Demo, participant_id: str) -> None:
    with httpx.Client(base_url=demo.url, headers={"Accept": "text/html"}, trust_env=False) as http:
        response = http.get(form_of(study, participant_id, "lesion.registered"))
        assert response.status_code == 303
        assert response.headers["location"].startswith("/session?")


def test_body_that_is_no_form_is_refused(study: StudyUnderTest, rome: FormBrowser, participant_id: str) -> None:
    address = form_of(study, participant_id, "lesion.registered")
    assert rome.http.post(address, json={}).status_code == 415
    huge = urlencode({"detail": "x" * 1_100_000})
    assert rome.http.post(address, content=huge, headers=FORM).status_code == 413


def test_data_query_is_explained_by_the_form_that_its_list_links_to(study: StudyUnderTest, rome: FormBrowser) -> None:
    participant_id = study.enroll_at("rome", facts.radiotherapy_started())
    assert study.record_fact(participant_id, toxicity.toxicity_assessed(5, toxicity.finding("3.0:0699", None)))
    study.wait_for_analytics()
    page = rome.open(f"{pages_of(study, 'analytics')}/queries?participant={participant_id}")
    form = rome.open(page.parser.links["Explain this data query"])
    assert (form.status, len(form.value("query_key")) > 0) == (200, True), form.text
    in_list = rome.open(form.parser.links["See the data query in its list"])
    fragment = form.parser.links["See the data query in its list"].partition("#")[2]
    assert (in_list.status, f'id="{fragment}"' in in_list.response.text) == (200, True)
    form.fill({"reason": SECRET})
    assert rome.press(form, "record").status == 200
    assert recorded_types(study, participant_id, "followup") == ["query.explained"]
