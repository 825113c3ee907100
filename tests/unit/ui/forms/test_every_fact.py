"""The form of every fact asks for the members that the design names, in its order, with its kinds of control.

Each fact has a text in `FORMS`: its fields with their kinds. A star: the form does not call the field optional, since
it must be stated or has a default. `t` text, `t~` text with suggestions, `T` text of several lines, `#` number, `d`
clinical date, `D` whole day, `z` time of the site, `f` term that is found by words, `r` radio buttons, `s` select,
`c` boxes, `h` hidden or fixed; `+` a list, of which one row is given.

Two rules decide between radio buttons and selects. A question with up to seven choices has radio buttons, so a study
with few sites has them for a site. A question that may be left open has a select (ADR 34).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from shared.contracts.catalogue import STREAMS
from shared.kernel.fact import Correction, Fact
from shared.testing.builders import facts
from shared.testing.builders import toxicity_facts as toxicity
from shared.ui.forms.controls import Controls
from shared.ui.forms.entries import PostedForm
from shared.ui.forms.field_view import FieldView
from shared.ui.forms.fields import Group, Leaf, Mapped, OneOf, Rows, correction_fields, fact_fields
from shared.ui.forms.prefills import first_content, fixed_content
from shared.ui.forms.views import FormView
from shared.ui.forms.writing import write_fields
from tests.unit.ui.forms.test_views import CONTEXT, FACTS, record_of

_TEXT_KINDS = {"integer": "#", "decimal": "#", "date": "d", "day": "D"}
_KINDS = {
    "radio": "r",
    "select": "s",
    "boxes": "c",
    "textarea": "T",
    "suggest": "t~",
    "term": "f",
    "time": "z",
    "fixed": "h",
    "hidden": "h",
}
CAUSES = "attribution+[to* h, level* s]"
TARGETS = (
    "targets*+[target_id* t, lesion_ids c, label* t~, modality* s, technique* s, delivery* r, fractions* #, "
    "dose_per_fraction_cgy* #, total_dose_cgy* #, prescription_isodose_percent #, boost_of t]"
)
DELIVERED = "delivered+[target_id* h, fractions* #, dose_cgy* #]"
WINDOWS = "window_days[before* #, after* #, or window_days*+[]]"
REPORT = f"serious_event_id* r, aware_at* z, term f, grade s, onset_on d, seriousness c, narrative T, {CAUSES}"
PERFORMANCE = "[scale* s, value* #, or not_reported* t]"
FORMS = {
    "study.opened": (
        "title* t, ethics_approval* t, registration t, protocol*[criteria*+[id* t, text* T, kind* r], "
        "minimum_age* #, consent_versions*+[version* t, valid_from* D], toxicity*[dictionary* r, "
        f"checklist+[0 f]], symptoms+[0 t], follow_up*[every_months* #, for_months* #, {WINDOWS}, "
        "anchor_policy* r], reminders[steps c, digest_at* t, escalate_after_days* #], "
        "accrual_target[participants* #, by* D], stereotactic[deliveries c], survival_origin* r, "
        "small_cell* #, registry_links+[site_id* t~, from* D, until D]]"
    ),
    "study.protocol_amended": (
        "amendment* t, effective_on* D, reason* T, protocol*[criteria*+[id* t, text* T, kind* r], "
        "minimum_age* #, consent_versions*+[version* t, valid_from* D], toxicity*[dictionary* r, "
        f"checklist+[0 f]], symptoms+[0 t], follow_up*[every_months* h, for_months* #, {WINDOWS}, "
        "anchor_policy* h], reminders[steps c, digest_at* t, escalate_after_days* #], "
        "accrual_target[participants* #, by* D], stereotactic[deliveries c], survival_origin* r, "
        "small_cell* #, registry_links+[site_id* t~, from* D, until D]]"
    ),
    "study.site_activated": "site_id* t, name* t, country* t~, time_zone* t~, on* D",
    "study.site_closed": "site_id* r, on* D",
    "study.member_granted": "member* t, role* r, site_id s",
    "study.member_revoked": "member* t, role* r, site_id s",
    "study.accrual_closed": "on* D",
    "study.closed": "on* D",
    "study.cut_taken": "name* t, cut_on* D",
    "literature.study_recorded": (
        "ref_id* t, first_author* t, year* t, doi_or_pmid t, design t, population t, n #, n_atc #, treatment t, "
        "dose t, median_os t, os_unit t, os_anchor t, os_1y_pct t, other_outcome t, toxicity t, verified t, note t"
    ),
    "participant.screened": (
        "site_id* r, screened_on* d, sex* r, birth_year* #, criteria*[histology-row[histology* r, "
        "histology t], rt-indicated-row[rt-indicated* r, rt-indicated t]], local_reference t"
    ),
    "participant.screen_failed": "failed_on* d, reason_codes* c",
    "participant.consented": "signed_on* d, form_version* r, options[data_use* r, registry* r, recontact* r]",
    "participant.enrolled": "enrolled_on* d",
    "participant.baseline_recorded": (
        "assessed_on* d, diagnosed_on* d, histology* t, primary_site* t, tnm*[t*[t* t, "
        "or not_reported* t], n*[n* t, or not_reported* t], m*[m* t, or not_reported* t], edition* r], "
        f"performance*{PERFORMANCE}, metastatic_sites c, molecular_findings["
        "molecular_findings*+[gene* t, alteration t, origin* s, result*[result* s, or not_reported* t]], "
        "or not_reported* t], symptoms+[symptom* h, severity* s]"
    ),
    "participant.withdrawn": "withdrawn_on* d, scope* r, reason T",
    "participant.transferred": "to_site* r, on* d",
    "participant.voided": "reason* r, duplicate_of t",
    "lesion.registered": "lesion_id* t, kind* r, body_site* s, laterality s, found_on* d, size_mm #",
    "procedure.performed": "performed_on* d, kind* s, body_site* s, lesion_ids c, detail T",
    "radiotherapy.started": f"course_id* t, started_on* d, intent* s, index* r, {TARGETS}",
    "radiotherapy.prescription_changed": f"course_id* r, {TARGETS}, on* d, reason_code* t~",
    "radiotherapy.completed": f"course_id* r, ended_on* d, {DELIVERED}",
    "radiotherapy.discontinued": f"course_id* r, ended_on* d, {DELIVERED}, reason_code* r",
    "systemic_therapy.started": (
        "line_id* t, on* d, agents*+[name* t, dose #, unit t, schedule t], setting* s, planned_cycles #"
    ),
    "systemic_therapy.stopped": "line_id* r, on* d, reason_code* t~, cycles_given #",
    "toxicity.assessed": (
        "assessed_on* d, timepoint* r, visit s, course_id s, findings+[term* h, grade* s, "
        f"not_graded t, more[onset_on d, {CAUSES}]], checklist_complete* r"
    ),
    "toxicity.serious_event_reported": (
        f"serious_event_id* t, aware_at* z, term* f, grade* r, onset_on* d, seriousness* c, {CAUSES}, "
        "narrative* T, outcome* r"
    ),
    "toxicity.serious_event_updated": (
        "serious_event_id* r, aware_at* z, term f, grade s, onset_on d, seriousness c, narrative T, "
        f"{CAUSES}, outcome s"
    ),
    "toxicity.serious_event_resolved": (
        "serious_event_id* r, aware_at* z, term f, grade s, onset_on d, seriousness c, narrative T, "
        f"{CAUSES}, outcome* r, resolved_on d"
    ),
    "followup.recorded": (
        f"seen_on* d, visit s, mode* r, performance{PERFORMANCE}, disease[lesions+[lesion_id* h, "
        "status* s, basis* s], regional* s, distant* s], response s, symptoms+[symptom* h, change* s], "
        "note T"
    ),
    "followup.visit_missed": "visit* s, declared_on* d, reason_code* r",
    "disease.progressed": "detected_on* d, kind* r, lesion_id s, body_site s, basis* r",
    "vital_status.confirmed": "alive_on* d, source* r",
    "participant.died": "died_on* d, cause* r, presumed* r, detail T",
    "participant.lost": "on* d, reason_code* r",
    "participant.follow_up_resumed": "on* d",
    "query.explained": "query_key* t, reason* T",
    "visit.scheduled": "visit* s, on* D",
    "reminder.snoozed": "visit* s, until D",
    "reminder.acknowledged": "visit* s, until D",
}
"""Fields of each form, in the order of the page."""
ADDED_ROWS = {
    "study.opened": ("protocol.toxicity.checklist.0", "protocol.symptoms.0", "protocol.registry_links.0.site_id"),
    "study.protocol_amended": ("protocol.registry_links.0.site_id",),
    "participant.baseline_recorded": ("molecular_findings.0.gene",),
}
"""Names in rows that a person adds by a button."""
CONTEXT_OF_ALL = replace(
    CONTEXT,
    study=record_of(
        facts.study_opened(
            facts.protocol(symptoms=["pain"], toxicity={"dictionary": "ctcae-3.0", "checklist": ["3.0:0150"]})
        ),
        facts.site_activated("rome"),
        facts.site_activated("milan"),
    ),
    own=record_of(toxicity.serious_event_reported()),
    site_id="rome",
)
"""The context of a participant of whom everything is known that a form may offer."""


def text_kinds(node: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Yields the name and the kind of every value that is typed; a row's number is `*`."""
    match node:
        case Leaf(kind=kind):
            yield name, kind
        case Group(members=members):
            for member in members:
                yield from text_kinds(member.node, f"{name}.{member.name}".removeprefix("."))
        case Rows(item=item) | Mapped(item=item):
            yield from text_kinds(item.node, f"{name}.*")
        case OneOf(options=options):
            for option in options:
                yield from text_kinds(option.node, name)


def describe(views: Sequence[FieldView], kinds: dict[str, str]) -> str:
    """Returns the fields in the notation of this file. Of a list, one row is described."""
    return ", ".join(f"{'or ' if view.is_alternative else ''}{_describe_one(view, kinds)}" for view in views)


def _describe_one(view: FieldView, kinds: dict[str, str]) -> str:
    name = f"{view.name.rpartition('.')[2]}{'*' if view.is_required else ''}"
    if view.kind == "rows":
        return f"{name}+[{describe(view.children[0].children if view.children else (), kinds)}]"
    if view.children:
        return f"{name}[{describe(view.children, kinds)}]"
    numberless = re.sub(r"[.][0-9]+(?=[.]|$)", ".*", view.name)
    return f"{name} {_KINDS.get(view.kind) or _TEXT_KINDS.get(kinds.get(numberless, ''), 't')}"


def described_form(fields: Group, form: PostedForm, constants: dict[str, str]) -> str:
    views = FormView(Controls(CONTEXT_OF_ALL, form, constants=constants)).build(fields)
    return describe(views, dict(text_kinds(fields)))


@pytest.mark.parametrize("kind", FACTS, ids=lambda kind: kind.type_name)
def test_form_has_the_fields_of_the_design_in_its_order(kind: type[Fact]) -> None:
    fields = fact_fields(kind)
    content = write_fields(fields, first_content(CONTEXT_OF_ALL, kind.type_name))
    pairs = (*content, *((name, "") for name in ADDED_ROWS.get(kind.type_name, ())))
    fixed = fixed_content(CONTEXT_OF_ALL, kind)
    assert described_form(fields, PostedForm(pairs=pairs, is_first=True), fixed) == FORMS[kind.type_name]


def test_every_fact_has_a_line_and_every_line_a_fact() -> None:
    assert FORMS.keys() == {kind.type_name for kind in FACTS}


@pytest.mark.parametrize("kind", FACTS, ids=lambda kind: kind.type_name)
def test_correction_asks_for_a_reason_and_then_for_the_fields_of_the_fact(kind: type[Fact]) -> None:
    stream = next(stream for stream in STREAMS if kind in stream.declared_facts.values())
    if stream.correctable:
        form = described_form(correction_fields(stream.facts[Correction.type_name], kind), PostedForm(), {})
        own_form = described_form(fact_fields(kind), PostedForm(), {})
        assert form == f"reason_code* r, reason T, replacement*[data*[{own_form}]]"
