"""Damaged forms: values, names, buttons and bodies that no browser sends. Each is refused, and records nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from shared.contracts.catalogue import PARTICIPANT
from shared.testing.builders import facts
from tests.api.support.form_bodies import FACTS, FORM, Pairs, example_pairs, send, token_of, versions
from tests.api.support.form_browser import FormBrowser, form_of, pages_of
from tests.api.support.study import StudyUnderTest, find_event_id, open_study
from tests.demo import Demo


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        yield study


@pytest.fixture(scope="module")
def participant_id(study: StudyUnderTest) -> str:
    treatment = (facts.lesion_registered(), facts.radiotherapy_started(), facts.procedure_performed())
    return study.wait_until_known(study.enroll_at("rome", *treatment))


@pytest.fixture(scope="module", autouse=True)
def nothing_is_recorded_of_the_participant(study: StudyUnderTest, participant_id: str) -> Iterator[None]:
    before = versions(study, participant_id)
    yield
    assert versions(study, participant_id) == before


def test_correction_keeps_its_event_and_its_type(study: StudyUnderTest, rome: FormBrowser, participant_id: str) -> None:
    lesion = find_event_id(study, participant_id, "lesion.registered")
    other = find_event_id(study, participant_id, "procedure.performed")
    pairs = [("reason_code", "typing_error"), *example_correction()]
    for tampered in (("event_id", other), ("replacement.type", "procedure.performed"), ("replacement", "null")):
        address = f"{pages_of(study)}/participants/{participant_id}/corrections/{lesion}"
        assert send(rome, study, address, [*pairs, tampered]).status_code == 422, tampered


def example_correction() -> Pairs:
    kind = PARTICIPANT.declared_facts["lesion.registered"]
    return [(f"replacement.data.{name}", value) for name, value in example_pairs(kind)]


ODD_VALUES = {
    "NUL": "a\x00b",
    "bell": "\x07",
    "right to left": "abc\u202edef",
    "zero width": "a\u200bb",
    "private use": "\ue000",
    "unassigned": "\U000e0080",
    "huge number": "9" * 400,
    "exponent": "1e999",
    "infinite": "-Infinity",
    "not a number": "NaN",
    "negative": "-1",
    "other digits": "٣٠",
    "month first": "06/2024",
    "year of five digits": "20244-01-01",
    "no day": "2024-02-30",
    "long": "x" * 5000,
    "encoded word": "=?UTF-8?Q?=0A?=",
    "markup": '"><script>alert(1)</script>',
    "template": "{{ 7 * 7 }}",
    "SQL": "'; drop table events; --",
    "JSON": '{"text": null}',
    "null": "null",
    "true": "true",
    "blank": " \t ",
}


@pytest.mark.parametrize("value", ODD_VALUES.values(), ids=ODD_VALUES.keys())
def test_odd_value_in_every_field_of_every_form_is_refused_and_records_nothing(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str, value: str
) -> None:
    for service, kind in FACTS:
        pairs = [(name, value) for name, _ in example_pairs(kind)]
        refused = send(rome, study, form_of(study, participant_id, kind.type_name, service), pairs)
        assert refused.status_code == 422, (kind.type_name, refused.status_code)
        assert "<script>alert" not in refused.text
        assert "49" not in re.findall(r'value="([^"]*)"', refused.text)


@pytest.mark.parametrize("value", ODD_VALUES.values(), ids=ODD_VALUES.keys())
def test_odd_value_in_an_address_is_shown_or_refused_and_never_run(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str, value: str
) -> None:
    for service, type_name, name in (
        ("enrollment", "lesion.registered", "lesion_id"),
        ("toxicity", "toxicity.assessed", "findings.0.term"),
        ("followup", "query.explained", "query_key"),
        ("followup", "visit.scheduled", "visit"),
    ):
        address = f"{form_of(study, participant_id, type_name, service)}?{urlencode({name: value})}"
        response = rome.http.get(address)
        assert response.status_code in (200, 400, 422), (type_name, response.status_code)
        assert "<script>alert" not in response.text


@pytest.mark.parametrize(
    "pair",
    [
        ("lesion_id\x00", "L9"),
        ("no_such_field", "x"),
        ("__proto__", "x"),
        ("targets.9999999999.label", "x"),
        ("targets.-1.label", "x"),
        ("targets.٣.label", "x"),
        (".".join("a" * 200), "x"),
        ("", "x"),
        (".", "x"),
        ("course_id.x", "x"),
        ("targets.0", "x"),
    ],
)
def test_field_that_the_form_does_not_have_is_refused(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str, pair: tuple[str, str]
) -> None:
    kind = PARTICIPANT.declared_facts["radiotherapy.started"]
    others = [(name, value) for name, value in example_pairs(kind) if name != "course_id"]
    address = form_of(study, participant_id, kind.type_name)
    refused = send(rome, study, address, [*others, ("course_id", "RT7"), pair])
    assert refused.status_code == 422, refused.text


LESION = [("lesion_id", "L8"), ("kind", "node"), ("body_site", "neck"), ("found_on", "2024-01")]


@pytest.mark.parametrize(
    ("pairs", "status"),
    [
        ([("lesion_id", "L9")], 422),
        ([("kind", "primary")], 422),
        ([("form:key", "one"), ("form:key", "two")], 400),
        ([("form:version", "1"), ("form:version", "")], 400),
        ([("form:version", "one")], 400),
        ([("form:version", "9" * 30)], 400),
        ([("form:key", "")], 400),
        ([("form:key", "a b\x00")], 400),
        ([("form:key", "k" * 201)], 400),
        ([("check", "1")], 400),
        ([("record", "2")], 400),
        ([("form:member", "somebody else")], 403),
        ([("form:version", "1")], 412),
    ],
)
def test_form_that_says_two_things_or_was_changed_is_refused(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str, pairs: Pairs, status: int
) -> None:
    address = form_of(study, participant_id, "lesion.registered")
    assert send(rome, study, address, [*LESION, *pairs]).status_code == status


@pytest.mark.parametrize(
    ("button", "value"),
    [("add", "no-such-list"), ("add", ""), ("add", "a." * 50), ("remove", ""), ("remove", "x.y"), ("find", "\x00")],
)
def test_button_about_what_is_not_there_shows_the_form_again(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str, button: str, value: str
) -> None:
    address = form_of(study, participant_id, "lesion.registered")
    own = [("form:csrf", token_of(rome, study)), ("form:key", "k")]
    answer = rome.http.post(address, content=urlencode([*own, *LESION, (button, value)]), headers=FORM)
    assert answer.status_code == 200
    assert 'value="2024-01"' in answer.text


@pytest.mark.parametrize(
    ("media", "content", "status"),
    [
        ("application/x-www-form-urlencoded; charset=utf-16", urlencode(LESION).encode("utf-16"), 415),
        ("application/x-www-form-urlencoded; charset=iso-8859-1", b"lesion_id=%E9", 415),
        ("application/x-www-form-urlencoded", b"lesion_id=%E9", 400),
        ("application/x-www-form-urlencoded", b"lesion_id=%ED%A0%80", 400),
        ("application/x-www-form-urlencoded", b"\xff\xfe\x00", 400),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--', 415),
        ("text/plain", urlencode(LESION).encode(), 415),
        ("application/json", b"{}", 415),
        ("", urlencode(LESION).encode(), 415),
    ],
)
def test_body_that_is_no_form_in_utf_8_is_refused(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str, media: str, content: bytes, status: int
) -> None:
    address = form_of(study, participant_id, "lesion.registered")
    refused = rome.http.post(address, content=content, headers={"Content-Type": media})
    assert refused.status_code == status
