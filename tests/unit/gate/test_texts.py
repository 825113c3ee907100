"""Texts that no person meant are refused when they are stated, and stay readable where they were recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.enrollment import gate as enrollment_gate
from services.enrollment import participant, study
from services.toxicity import assessment
from services.toxicity import gate as toxicity_gate
from shared.contracts.catalogue import PARTICIPANT, STUDY
from shared.contracts.enrollment import BaselineRecorded
from shared.contracts.study import Opened, ProtocolAmended, SiteActivated
from shared.contracts.treatment import SystemicTherapyStarted
from shared.gate.texts import is_line
from shared.kernel.fact import Fact
from shared.kernel.record import Objection, Record, Refused, standing
from shared.testing.facts import (
    ON_STUDY,
    START,
    amended,
    baseline,
    changed,
    completed,
    correction,
    course,
    cut_taken,
    granted,
    lesion,
    line,
    opened,
    protocol,
    screened,
    site_activated,
    target,
)
from shared.testing.facts import (
    given as delivered,
)
from shared.testing.spec import Spec, history
from shared.testing.toxicity_facts import serious

BREAK, RIGHT_TO_LEFT, ZERO_WIDTH = "North\r\nBcc: x@example.org", "A\u202eB", "A\u200bB"
NO_LINES = (
    BREAK, "North\nSouth", "North\tSouth", RIGHT_TO_LEFT, ZERO_WIDTH, "A\u2066B", "A\u200fB", "A\ufeffB", "A\u2028B",
    "A\u00adB", "A\u3164B", " North", "North ", "\u00a0North",
)  # fmt: skip
LINES = (
    "North", "Klinik für Strahlentherapie Łódź", "Centre hospitalier\u00a0: Sud", "放射線科", "Θεραπεία (2)",
    "Ra\u0308tien", "What is =?", "عيادة", "Radiology 📞",
)  # fmt: skip
DATES = (
    "1-Mar", "12-Sep", "Sep-04", "2-Mar", "1-Dec", "1-dec", "01-Mar", "1-Mar-24", "1-Mar-2024", "Mar-2001", "Sept-4",
    "2024-03-01", "01-03-2024", "1-Okt", "1-Mai",
)  # fmt: skip
DOTTED = ("01.03.2024", "1.3.2024", "2024.03.01", "1.Mrz", "1.Mrz.24")
study_spec = Spec(study.objections, partial(study.gate, date.max))


def enrolling(*earlier: Fact) -> Spec:
    """A participant's stream of which these facts stand."""
    world = enrollment_gate.World(
        Record(tuple(history((opened(), site_activated())))), START.replace(year=2025), "rome", "rome",
        earlier=lambda: standing(history(earlier)),
    )  # fmt: skip
    return Spec(participant.objections, world.gate).given(*earlier)


def objections(spec: Spec) -> list[Objection]:
    with pytest.raises(Refused) as refusal:
        spec.then_admitted()
    return [objection for _, objection in refusal.value.raised]


def named(name: str) -> SiteActivated:
    return site_activated().model_copy(update={"name": name})


@pytest.mark.parametrize("text", NO_LINES)
def test_a_name_is_one_line_that_can_be_seen(text: str) -> None:
    assert not is_line(text)
    (raised,) = objections(study_spec.given(opened()).when(named(text)))
    assert (raised.code, raised.member) == ("not-one-line", "/name")
    assert text not in raised.message


@pytest.mark.parametrize("text", LINES)
def test_a_name_may_have_every_letter_that_there_is(text: str) -> None:
    study_spec.given(opened()).when(named(text)).then_admitted()


@given(st.text(min_size=1))
def test_what_is_a_line_cannot_break_a_header_or_turn_a_text_around(text: str) -> None:
    if is_line(text):
        assert text == text.strip()
        assert len(text.splitlines()) == 1
        assert not set(text) & set(
            "\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
        )


@pytest.mark.parametrize("text", ["North =?UTF-8?Q?=0A?=Bcc: x", "=?iso-8859-1?b?TvxyZA==?="])
def test_what_mail_would_decode_is_no_name(text: str) -> None:
    study_spec.given(opened()).when(named(text)).then_refused("encoded-word")


def test_lost_characters_are_pointed_out_in_names_and_paragraphs() -> None:
    study_spec.given(opened()).when(named("M\ufffdnchen")).then_refused("damaged-text")
    reason = amended(1, protocol()).model_copy(update={"reason": "M\ufffdnchen"})
    study_spec.given(opened()).when(reason).then_refused("damaged-text")


@pytest.mark.parametrize(
    ("fact", "pointer"),
    [
        (opened().model_copy(update={"title": BREAK}), "/title"),
        (opened().model_copy(update={"ethics_approval": ZERO_WIDTH}), "/ethics_approval"),
        (opened().model_copy(update={"registration": RIGHT_TO_LEFT}), "/registration"),
        (granted("ann\u200b", "monitor"), "/member"),
        (amended(1, protocol(criteria=("a",))), None),
        (cut_taken("first"), None),
    ],
)
def test_every_text_in_the_clear_is_a_line(fact: Fact, pointer: str | None) -> None:
    spec = study_spec.given(*(() if isinstance(fact, Opened) else (opened(),))).when(fact)
    if pointer is None:
        spec.then_admitted()
    else:
        assert [(each.code, each.member) for each in objections(spec)] == [("not-one-line", pointer)]


def broken_criterion() -> Any:
    plan = protocol().model_dump(mode="json")
    plan["criteria"][1]["text"] = "First\nsecond"
    return plan


def test_a_criterion_is_a_line_and_a_reason_may_have_several() -> None:
    plan = protocol().model_validate(broken_criterion())
    (raised,) = objections(study_spec.given(opened()).when(amended(1, plan)))
    assert (raised.code, raised.member) == ("not-one-line", "/protocol/criteria/1/text")
    reason = ProtocolAmended.model_validate({**amended(1, protocol()).model_dump(mode="json"), "reason": "One.\nTwo."})
    study_spec.given(opened()).when(reason).then_admitted()


def test_an_amendment_may_keep_the_wording_that_a_study_was_opened_with() -> None:
    plan = protocol().model_validate(broken_criterion())
    study_spec.given(opened(plan)).when(amended(1, plan)).then_admitted()


def gene(symbol: str, **more: Any) -> BaselineRecorded:
    return baseline(molecular_findings=[{"gene": symbol, "result": "detected", **more}])


@pytest.mark.parametrize("symbol", [*DATES, "45355", "38231"])
def test_a_gene_that_a_spreadsheet_has_turned_into_a_date_is_refused(symbol: str) -> None:
    (raised,) = objections(enrolling(*ON_STUDY).when(gene(symbol)))
    assert (raised.code, raised.member) == ("spreadsheet-date", "/molecular_findings/0/gene")
    assert "MARCHF1" in raised.message
    assert "SEPTIN4" in raised.message
    assert symbol not in raised.message


@pytest.mark.parametrize(
    "symbol",
    ["BRAF", "TP53", "MARCHF1", "SEPTIN4", "DELEC1", "HLA-A", "NKX2-1", "TERT", "H3-3A", "MARCH1", "DEC1", "JUN", "NOV",
     "APRT", "MT-CO1", "KRTAP1-1", "SEPT-X", "9999"],
)  # fmt: skip
def test_a_symbol_is_no_date(symbol: str) -> None:
    enrolling(*ON_STUDY).when(gene(symbol)).then_admitted()


@pytest.mark.parametrize("alteration", ["V600E", "c.1799T>A", "p.(Val600Glu)", "exon 19 del", "T790M", "1p/19q", "12"])
def test_an_alteration_is_no_date(alteration: str) -> None:
    enrolling(*ON_STUDY).when(gene("BRAF", alteration=alteration)).then_admitted()


NAMING: tuple[tuple[Callable[[str], Fact], str], ...] = (
    (lambda name: gene("BRAF", alteration=name), "/molecular_findings/0/alteration"),
    (lambda name: lesion(name), "/lesion_id"),
    (lambda name: course(1, name), "/course_id"),
    (lambda name: course(1, "RT1", target(name)), "/targets/0/target_id"),
    (lambda name: line(1, name), "/line_id"),
    (lambda name: medication(name), "/agents/0/name"),
)


def medication(name: str) -> SystemicTherapyStarted:
    said = line().model_dump(mode="json")
    return SystemicTherapyStarted.model_validate({**said, "agents": [{"name": name}]})


@pytest.mark.parametrize("name", [*DATES, *DOTTED])
@pytest.mark.parametrize(("fact", "pointer"), NAMING)
def test_a_name_that_a_spreadsheet_has_turned_into_a_date_is_refused(
    fact: Callable[[str], Fact], pointer: str, name: str
) -> None:
    (raised,) = objections(enrolling(*ON_STUDY).when(fact(name)))
    assert (raised.code, raised.member) == ("spreadsheet-date", pointer)
    assert name not in raised.message


@pytest.mark.parametrize(
    "name", ["L1", "1-2", "1.2.24", "45355", "20240301", "SET-1", "GEN-2", "RT-2024-03-01", "MAR1"]
)
@pytest.mark.parametrize(("fact", "pointer"), NAMING[1:5])
def test_names_that_sites_give_are_no_dates(fact: Callable[[str], Fact], pointer: str, name: str) -> None:
    enrolling(*ON_STUDY).when(fact(name)).then_admitted()


@pytest.mark.parametrize("label", ["PTV_5040", "PTV_High", "6600", "PTV^1-2", "SET-1"])
def test_a_label_is_no_date(label: str) -> None:
    enrolling(*ON_STUDY).when(course(1, "RT1", target(label=label))).then_admitted()


@pytest.mark.parametrize("label", [*DATES, "45355"])
def test_a_label_that_a_spreadsheet_has_changed_is_refused(label: str) -> None:
    enrolling(*ON_STUDY).when(course(1, "RT1", target(label=label))).then_refused("spreadsheet-date")


def test_a_serious_event_is_not_named_by_a_date_either() -> None:
    known = Record(tuple(history(ON_STUDY)))
    studied = Record(tuple(history((opened(), site_activated()))))
    world = toxicity_gate.World(studied, START.replace(year=2025), "rome", participant=known)
    spec = Spec(assessment.objections, world.gate)
    spec.when(serious("1-Mar")).then_refused("spreadsheet-date")
    spec.when(serious("45355")).then_admitted()


def test_what_was_recorded_under_such_a_name_goes_on_under_it() -> None:
    past = (*ON_STUDY, lesion("1-Mar"), course(1, "2-Mar", target("3-Mar", "1-Mar", label="4-Mar")))
    enrolling(*past).when(changed(3, "2-Mar", target("3-Mar", "1-Mar", label="4-Mar"))).then_admitted()
    enrolling(*past).when(completed(28, "2-Mar", delivered("3-Mar"))).then_admitted()
    enrolling(*past).when(changed(3, "2-Mar", target("5-Mar"))).then_refused("spreadsheet-date")


def test_a_correction_is_asked_what_it_changes() -> None:
    past = (*ON_STUDY, gene("1-Mar"))
    mended = gene("1-Mar").model_copy(update={"primary_site": "C73.9"})
    enrolling(*past).when(correction(4, mended)).then_admitted()
    enrolling(*past).when(correction(4, gene("MARCHF1"))).then_admitted()
    (raised,) = objections(enrolling(*past).when(correction(4, gene("2-Mar"))))
    assert raised.member == "/replacement/data/molecular_findings/0/gene"
    enrolling(*past, correction(4, None)).when(correction(4, gene("1-Mar"))).then_refused("spreadsheet-date")


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        ("7" * 201, "reference-too-long"), ("4.71E+09", "rounded-number"), ("4,71E+09", "rounded-number"),
        ("4711\u200b", "not-one-line"), ("47\n11", "not-one-line"), ("M\ufffdller", "damaged-text"),
    ],
)  # fmt: skip
def test_a_sites_own_number_is_one_that_can_be_searched(reference: str, code: str) -> None:
    (raised,) = objections(enrolling().when(screened(local_reference=reference)))
    assert (raised.code, raised.member) == (code, "/local_reference")
    assert reference not in raised.message


@pytest.mark.parametrize(
    "reference", ["7" * 200, "00123", "1E5", "MÜLLER-07", "Mu\u0308ller", " 4711 ", "1-Mar", "4\u00a0711"]
)
def test_a_sites_own_number_may_be_anything_that_can_be_read(reference: str) -> None:
    enrolling().when(screened(local_reference=reference)).then_admitted()


def test_other_sealed_texts_keep_what_they_have() -> None:
    waived = {"histology": "waived", "rt-indicated": "met"}
    reason = {"histology": " First\nsecond\u200e "}
    enrolling().when(screened(criteria=waived, waivers=reason)).then_admitted()


def test_a_sealed_text_that_has_lost_characters_is_refused() -> None:
    waived = {"histology": "waived", "rt-indicated": "met"}
    (raised,) = objections(enrolling().when(screened(criteria=waived, waivers={"histology": "M\ufffdller"})))
    assert (raised.code, raised.member) == ("damaged-text", "/waivers")


def test_what_was_recorded_is_read_as_it_is() -> None:
    site = {**site_activated().model_dump(mode="json"), "name": BREAK, "time_zone": "localtime", "country": "UK"}
    read = STUDY.read("study.site_activated", 1, json.dumps({**site, "time_zone": "Nowhere/Any"}))
    assert isinstance(read, SiteActivated)
    assert (read.name, read.country, read.time_zone) == (BREAK, "UK", "Nowhere/Any")
    finding = gene("1-Mar").model_dump(mode="json")
    assert PARTICIPANT.read("participant.baseline_recorded", 1, json.dumps(finding)) == gene("1-Mar")
