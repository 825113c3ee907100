"""Damaged or unsearchable texts, and names turned into dates, are refused when stated; recorded ones stay readable."""

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
from services.enrollment.rules import participant, study
from services.toxicity import gate as toxicity_gate
from services.toxicity import rules
from shared.contracts.catalogue import PARTICIPANT, STUDY
from shared.contracts.enrollment import BaselineRecorded
from shared.contracts.study import SiteActivated, StudyOpened
from shared.gate.text_checks import is_single_line
from shared.kernel.fact import Fact
from shared.kernel.objection import Objection, RuleViolation
from shared.kernel.record import Record, current_record
from shared.testing.builders.facts import (
    ENROLLMENT_FACTS,
    START_DATE,
    baseline_recorded,
    correction,
    cut_taken,
    lesion_registered,
    member_granted,
    participant_screened,
    prescription_changed,
    protocol,
    protocol_amended,
    radiotherapy_completed,
    radiotherapy_started,
    site_activated,
    study_opened,
    systemic_therapy_started,
    target,
)
from shared.testing.builders.facts import delivered_dose as delivered
from shared.testing.builders.toxicity_facts import serious_event_reported
from shared.testing.spec import Spec, numbered_facts

BREAK, RIGHT_TO_LEFT, ZERO_WIDTH = "North\r\nBcc: x@example.org", "A\u202eB", "A\u200bB"
INVALID_LINES = (
    BREAK,
    "North\nSouth",
    "North\tSouth",
    RIGHT_TO_LEFT,
    ZERO_WIDTH,
    "A\u2066B",
    "A\u200fB",
    "A\ufeffB",
    "A\u2028B",
    "A\u00adB",
    "A\u3164B",
    " North",
    "North ",
    "\u00a0North",
)
VALID_LINES = (
    "North",
    "Klinik für Strahlentherapie Łódź",
    "Centre hospitalier\u00a0: Sud",
    "放射線科",
    "Θεραπεία (2)",
    "Ra\u0308tien",
    "What is =?",
    "عيادة",
    "Radiology 📞",
)
DATES = (
    "1-Mar",
    "12-Sep",
    "Sep-04",
    "2-Mar",
    "1-Dec",
    "1-dec",
    "01-Mar",
    "1-Mar-24",
    "1-Mar-2024",
    "Mar-2001",
    "Sept-4",
    "2024-03-01",
    "01-03-2024",
    "1-Okt",
    "1-Mai",
)
DOTTED = ("01.03.2024", "1.3.2024", "2024.03.01", "1.Mrz", "1.Mrz.24")
study_spec = Spec(study.objections, partial(study.gate_objections, date.max))


def enrollment_spec(*earlier: Fact) -> Spec:
    """Returns the spec of a participant with these facts."""
    participant_gate = enrollment_gate.EnrollmentGate(
        Record(tuple(numbered_facts((study_opened(), site_activated())))),
        START_DATE.replace(year=2025),
        "rome",
        "rome",
        record_before=lambda: current_record(numbered_facts(earlier)),
    )
    return Spec(participant.objections, participant_gate.objections).given(*earlier)


def objections_of(spec: Spec) -> list[Objection]:
    with pytest.raises(RuleViolation) as violation:
        spec.then_admitted()
    return [objection for _, objection in violation.value.raised_objections]


def site_with_name(name: str) -> SiteActivated:
    return site_activated().model_copy(update={"name": name})


@pytest.mark.parametrize("text", INVALID_LINES)
def test_site_name_must_be_one_visible_line(text: str) -> None:
    assert not is_single_line(text)
    (raised,) = objections_of(study_spec.given(study_opened()).when(site_with_name(text)))
    assert (raised.code, raised.pointer) == ("not-one-line", "/name")
    assert text not in raised.message


@pytest.mark.parametrize("text", VALID_LINES)
def test_site_name_may_use_any_script(text: str) -> None:
    study_spec.given(study_opened()).when(site_with_name(text)).then_admitted()


@given(st.text(min_size=1))
def test_accepted_lines_cannot_break_headers_or_reverse_text(text: str) -> None:
    if is_single_line(text):
        assert text == text.strip()
        assert len(text.splitlines()) == 1
        assert not set(text) & set(
            "\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
        )


@pytest.mark.parametrize("text", ["North =?UTF-8?Q?=0A?=Bcc: x", "=?iso-8859-1?b?TvxyZA==?="])
def test_mail_encoded_words_are_refused_as_names(text: str) -> None:
    study_spec.given(study_opened()).when(site_with_name(text)).then_refused("encoded-word")


def test_replacement_characters_are_refused_in_names_and_paragraphs() -> None:
    study_spec.given(study_opened()).when(site_with_name("M\ufffdnchen")).then_refused("damaged-text")
    reason = protocol_amended(1, protocol()).model_copy(update={"reason": "M\ufffdnchen"})
    study_spec.given(study_opened()).when(reason).then_refused("damaged-text")


@pytest.mark.parametrize(
    ("fact", "pointer"),
    [
        (study_opened().model_copy(update={"title": BREAK}), "/title"),
        (study_opened().model_copy(update={"ethics_approval": ZERO_WIDTH}), "/ethics_approval"),
        (study_opened().model_copy(update={"registration": RIGHT_TO_LEFT}), "/registration"),
        (member_granted("ann\u200b", "monitor"), "/member"),
        (protocol_amended(1, protocol(criteria=("a",))), None),
        (cut_taken("first"), None),
    ],
)
def test_every_unsealed_text_must_be_one_line(fact: Fact, pointer: str | None) -> None:
    spec = study_spec.given(*(() if isinstance(fact, StudyOpened) else (study_opened(),))).when(fact)
    if pointer is None:
        spec.then_admitted()
    else:
        assert [(objection.code, objection.pointer) for objection in objections_of(spec)] == [("not-one-line", pointer)]


def protocol_with_two_line_criterion() -> Any:
    plan = protocol().model_dump(mode="json")
    plan["criteria"][1]["text"] = "First\nsecond"
    return plan


def test_criterion_is_one_line_and_a_reason_may_have_several() -> None:
    plan = protocol().model_validate(protocol_with_two_line_criterion())
    (raised,) = objections_of(study_spec.given(study_opened()).when(protocol_amended(1, plan)))
    assert (raised.code, raised.pointer) == ("not-one-line", "/protocol/criteria/1/text")
    study_spec.given(study_opened()).when(protocol_amended(1, protocol(), reason="One.\nTwo.")).then_admitted()


def test_amendment_may_keep_existing_wording() -> None:
    plan = protocol().model_validate(protocol_with_two_line_criterion())
    study_spec.given(study_opened(plan)).when(protocol_amended(1, plan)).then_admitted()


def baseline_with_gene(symbol: str, **more: Any) -> BaselineRecorded:
    return baseline_recorded(molecular_findings=[{"gene": symbol, "result": "detected", **more}])


@pytest.mark.parametrize("symbol", [*DATES, "45355", "38231"])
def test_gene_symbol_converted_to_a_date_is_refused(symbol: str) -> None:
    (raised,) = objections_of(enrollment_spec(*ENROLLMENT_FACTS).when(baseline_with_gene(symbol)))
    assert (raised.code, raised.pointer) == ("spreadsheet-date", "/molecular_findings/0/gene")
    assert "MARCHF1" in raised.message
    assert "SEPTIN4" in raised.message
    assert symbol not in raised.message


@pytest.mark.parametrize(
    "symbol",
    [
        "BRAF",
        "TP53",
        "MARCHF1",
        "SEPTIN4",
        "DELEC1",
        "HLA-A",
        "NKX2-1",
        "TERT",
        "H3-3A",
        "MARCH1",
        "DEC1",
        "JUN",
        "NOV",
        "APRT",
        "MT-CO1",
        "KRTAP1-1",
        "SEPT-X",
        "9999",
    ],
)
def test_gene_symbols_are_not_mistaken_for_dates(symbol: str) -> None:
    enrollment_spec(*ENROLLMENT_FACTS).when(baseline_with_gene(symbol)).then_admitted()


@pytest.mark.parametrize("alteration", ["V600E", "c.1799T>A", "p.(Val600Glu)", "exon 19 del", "T790M", "1p/19q", "12"])
def test_alterations_are_not_mistaken_for_dates(alteration: str) -> None:
    enrollment_spec(*ENROLLMENT_FACTS).when(baseline_with_gene("BRAF", alteration=alteration)).then_admitted()


NAMED_FACTS: tuple[tuple[Callable[[str], Fact], str], ...] = (
    (lambda name: baseline_with_gene("BRAF", alteration=name), "/molecular_findings/0/alteration"),
    (lambda name: lesion_registered(name), "/lesion_id"),
    (lambda name: radiotherapy_started(1, name), "/course_id"),
    (lambda name: radiotherapy_started(1, "RT1", target(name)), "/targets/0/target_id"),
    (lambda name: systemic_therapy_started(1, name), "/line_id"),
    (lambda name: systemic_therapy_started(agents=[{"name": name}]), "/agents/0/name"),
)


@pytest.mark.parametrize("name", [*DATES, *DOTTED])
@pytest.mark.parametrize(("fact", "pointer"), NAMED_FACTS)
def test_name_converted_to_a_date_is_refused(fact: Callable[[str], Fact], pointer: str, name: str) -> None:
    (raised,) = objections_of(enrollment_spec(*ENROLLMENT_FACTS).when(fact(name)))
    assert (raised.code, raised.pointer) == ("spreadsheet-date", pointer)
    assert name not in raised.message


@pytest.mark.parametrize(
    "name", ["L1", "1-2", "1.2.24", "45355", "20240301", "SET-1", "GEN-2", "RT-2024-03-01", "MAR1"]
)
@pytest.mark.parametrize(("fact", "pointer"), NAMED_FACTS[1:5])
def test_names_given_by_sites_are_not_mistaken_for_dates(fact: Callable[[str], Fact], pointer: str, name: str) -> None:
    enrollment_spec(*ENROLLMENT_FACTS).when(fact(name)).then_admitted()


@pytest.mark.parametrize("label", ["PTV_5040", "PTV_High", "6600", "PTV^1-2", "SET-1"])
def test_target_labels_are_not_mistaken_for_dates(label: str) -> None:
    enrollment_spec(*ENROLLMENT_FACTS).when(radiotherapy_started(1, "RT1", target(label=label))).then_admitted()


@pytest.mark.parametrize("label", [*DATES, "45355"])
def test_target_label_converted_to_a_date_is_refused(label: str) -> None:
    enrollment_spec(*ENROLLMENT_FACTS).when(radiotherapy_started(1, "RT1", target(label=label))).then_refused(
        "spreadsheet-date"
    )


def test_serious_event_id_converted_to_a_date_is_refused() -> None:
    enrollment_record = Record(tuple(numbered_facts(ENROLLMENT_FACTS)))
    study_record = Record(tuple(numbered_facts((study_opened(), site_activated()))))
    participant_gate = toxicity_gate.ToxicityGate(
        study_record, START_DATE.replace(year=2025), "rome", enrollment_record=enrollment_record
    )
    spec = Spec(rules.objections, participant_gate.objections)
    spec.when(serious_event_reported("1-Mar")).then_refused("spreadsheet-date")
    spec.when(serious_event_reported("45355")).then_admitted()


def test_facts_may_refer_to_a_recorded_date_like_name() -> None:
    recorded = (
        *ENROLLMENT_FACTS,
        lesion_registered("1-Mar"),
        radiotherapy_started(1, "2-Mar", target("3-Mar", "1-Mar", label="4-Mar")),
    )
    enrollment_spec(*recorded).when(
        prescription_changed(3, "2-Mar", target("3-Mar", "1-Mar", label="4-Mar"))
    ).then_admitted()
    enrollment_spec(*recorded).when(radiotherapy_completed(28, "2-Mar", delivered("3-Mar"))).then_admitted()
    enrollment_spec(*recorded).when(prescription_changed(3, "2-Mar", target("5-Mar"))).then_refused("spreadsheet-date")


def test_correction_is_checked_only_where_it_changes_texts() -> None:
    recorded = (*ENROLLMENT_FACTS, baseline_with_gene("1-Mar"))
    corrected_baseline = baseline_with_gene("1-Mar").model_copy(update={"primary_site": "C73.9"})
    enrollment_spec(*recorded).when(correction(4, corrected_baseline)).then_admitted()
    enrollment_spec(*recorded).when(correction(4, baseline_with_gene("MARCHF1"))).then_admitted()
    (raised,) = objections_of(enrollment_spec(*recorded).when(correction(4, baseline_with_gene("2-Mar"))))
    assert raised.pointer == "/replacement/data/molecular_findings/0/gene"
    enrollment_spec(*recorded, correction(4, None)).when(correction(4, baseline_with_gene("1-Mar"))).then_refused(
        "spreadsheet-date"
    )


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        ("7" * 201, "reference-too-long"),
        ("4.71E+09", "rounded-number"),
        ("4,71E+09", "rounded-number"),
        ("4711\u200b", "not-one-line"),
        ("47\n11", "not-one-line"),
        ("M\ufffdller", "damaged-text"),
    ],
)
def test_unsearchable_local_reference_is_refused(reference: str, code: str) -> None:
    (raised,) = objections_of(enrollment_spec().when(participant_screened(local_reference=reference)))
    assert (raised.code, raised.pointer) == (code, "/local_reference")
    assert reference not in raised.message


@pytest.mark.parametrize(
    "reference", ["7" * 200, "00123", "1E5", "MÜLLER-07", "Mu\u0308ller", " 4711 ", "1-Mar", "4\u00a0711"]
)
def test_any_readable_local_reference_is_accepted(reference: str) -> None:
    enrollment_spec().when(participant_screened(local_reference=reference)).then_admitted()


def test_other_sealed_texts_are_not_restricted_to_a_line() -> None:
    waived = {"histology": "waived", "rt-indicated": "met"}
    reason = {"histology": " First\nsecond\u200e "}
    enrollment_spec().when(participant_screened(criteria=waived, waivers=reason)).then_admitted()


def test_sealed_text_with_replacement_characters_is_refused() -> None:
    waived = {"histology": "waived", "rt-indicated": "met"}
    (raised,) = objections_of(
        enrollment_spec().when(participant_screened(criteria=waived, waivers={"histology": "M\ufffdller"}))
    )
    assert (raised.code, raised.pointer) == ("damaged-text", "/waivers")


def test_recorded_texts_are_read_without_checks() -> None:
    site = {**site_activated().model_dump(mode="json"), "name": BREAK, "time_zone": "localtime", "country": "UK"}
    read = STUDY.read("study.site_activated", 1, json.dumps({**site, "time_zone": "Nowhere/Any"}))
    assert isinstance(read, SiteActivated)
    assert (read.name, read.country, read.time_zone) == (BREAK, "UK", "Nowhere/Any")
    finding = baseline_with_gene("1-Mar").model_dump(mode="json")
    assert PARTICIPANT.read("participant.baseline_recorded", 1, json.dumps(finding)) == baseline_with_gene("1-Mar")
