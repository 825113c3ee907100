"""Forms offer what the service knows: visits with their dates, zones of a country, present values of an event."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.cohort.serious_events import serious_events
from shared.contracts.catalogue import FOLLOWUP, PARTICIPANT, STUDY, TOXICITY
from shared.contracts.study import CutTaken, MemberRevoked
from shared.contracts.toxicity import SeriousEventUpdated
from shared.kernel.fact import Fact
from shared.kernel.record import Record
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as followup
from shared.testing.builders import toxicity_facts as toxicity
from shared.testing.spec import numbered_facts
from shared.ui.forms.context import FormContext
from shared.ui.forms.controls import Controls
from shared.ui.forms.current_values import current_values
from shared.ui.forms.entries import PostedForm
from shared.ui.forms.field_view import FieldView
from shared.ui.forms.fields import fact_fields
from shared.ui.forms.offers import offered
from shared.ui.forms.prefills import link_values
from shared.ui.forms.presets import standing_grants, with_preset
from shared.ui.forms.sample_visits import WINDOWS, sample_visits, with_rows
from shared.ui.forms.targets import with_typed_day
from shared.ui.forms.views import FormView

TODAY = date(2024, 12, 1)


def record_of(*stated: Fact) -> Record:
    return Record(tuple(numbered_facts(stated)))


def context_of(*own: Fact, courses: tuple[Fact, ...] = (), today: date = TODAY, **plan: Any) -> FormContext:
    """Returns the context of a participant whose index course ended on 2024-02-29, if no courses are given."""
    ended = courses or (facts.radiotherapy_started("2024-02-01"), facts.radiotherapy_completed("2024-02-29"))
    study = record_of(facts.study_opened(facts.protocol(follow_up=plan)))
    return FormContext(study=study, enrollment=record_of(*ended), own=record_of(*own), today=today)


def labels(context: FormContext, offer: Any) -> list[str]:
    return [choice.label for choice in offered(context, offer)]


def views_of(kind: type[Fact], context: FormContext, form: PostedForm | None = None) -> dict[str, FieldView]:
    def within(views: Any) -> Any:
        for view in views:
            yield view
            yield from within(view.children)

    views = FormView(Controls(context, form or PostedForm())).build(fact_fields(kind))
    return {view.name: view for view in within(views)}


def test_visits_are_offered_with_their_target_and_window() -> None:
    assert labels(context_of(), "visits")[:2] == [
        "Visit 1: 2024-05-29, window 2024-05-15 to 2024-06-12",
        "Visit 2: 2024-08-29, window 2024-08-15 to 2024-09-12",
    ]


def test_contact_is_of_the_visit_of_its_date_unless_the_site_names_one() -> None:
    for kind in (FOLLOWUP.declared_facts["followup.recorded"], TOXICITY.declared_facts["toxicity.assessed"]):
        view = views_of(kind, context_of())["visit"]
        assert (view.kind, view.options[0].value, view.options[0].label) == ("select", "", "By date")


def test_visits_without_a_known_end_of_radiotherapy_are_offered_by_their_months() -> None:
    running = (facts.radiotherapy_started("2024-02-01"),)
    partial = (*running, facts.radiotherapy_completed("2024-02"))
    for courses in (running, partial):
        assert labels(context_of(courses=courses), "open_visits")[:2] == ["Visit 1: 3 months", "Visit 2: 6 months"]


def test_visit_may_be_declared_missed_once_it_has_opened_and_has_neither_contact_nor_declaration() -> None:
    own = (followup.follow_up_recorded("2024-06-01"), followup.visit_missed("2024-10-01", visit=2))
    assert [choice.value for choice in offered(context_of(*own), "open_visits")] == ["3"]
    assert [choice.value for choice in offered(context_of(), "open_visits")] == ["1", "2", "3"]


def test_visit_may_be_booked_until_it_is_over() -> None:
    assert [choice.value for choice in offered(context_of(), "coming_visits")][:2] == ["3", "4"]


def test_course_of_a_visit_is_asked_for_only_where_each_course_has_visits() -> None:
    kind = FOLLOWUP.declared_facts["followup.visit_missed"]
    assert "course_id" not in views_of(kind, context_of())
    per_course = context_of(anchor_policy="per_course")
    assert [option.value for option in views_of(kind, per_course)["course_id"].options] == ["", "RT1"]
    assert not per_course.visits.visits
    assert labels(replace(per_course, course_id="RT1"), "visits")[0].startswith("Visit 1: 2024-05-29")


def test_zones_of_the_country_that_was_typed_come_first() -> None:
    context = replace(context_of(), country="PT")
    zones = [choice.value for choice in offered(context, "zones")]
    assert zones[:3] == ["Europe/Lisbon", "Atlantic/Madeira", "Atlantic/Azores"]
    assert len(zones) == len(set(zones)) > 400
    assert "Norway" in labels(context, "countries")


def test_report_shows_the_present_value_of_what_it_may_change() -> None:
    own = (toxicity.serious_event_reported(grade=3), toxicity.serious_event_updated(grade=4))
    values = current_values(record_of(*own), SeriousEventUpdated, "")
    assert (values["grade"], values["seriousness"]) == (4, ["hospitalisation"])
    context = replace(context_of(*own), current_values=values)
    views = views_of(TOXICITY.declared_facts["toxicity.serious_event_updated"], context)
    assert views["grade"].hint == "At present: 4."
    assert views["seriousness"].hint == "At present: Hospital admission or a longer stay."
    assert "Dysphagia" in views["term"].hint
    assert current_values(record_of(*own), SeriousEventUpdated, "SAE9") == {}


def test_data_cut_suggests_a_day_one_visit_interval_and_window_ago_and_fills_nothing_in() -> None:
    context = with_typed_day(context_of(), CutTaken, PostedForm().entries)
    view = views_of(STUDY.declared_facts[CutTaken.type_name], context)["cut_on"]
    assert "Suggestion: 2024-08-18, one visit interval and its window before today." in view.hint  # 3 months, 14 days
    assert view.value == ""
    assert with_typed_day(context_of(), SeriousEventUpdated, PostedForm().entries).suggestions == {}


def attributed(**levels: str) -> list[dict[str, str]]:
    return [{"to": cause.replace("_", ":"), "level": level} for cause, level in levels.items()]


def test_report_shows_the_present_likelihood_of_each_cause_in_words() -> None:
    own = (
        toxicity.serious_event_reported(attribution=attributed(course_RT1="possible", other="definite")),
        toxicity.serious_event_updated(
            attribution=attributed(course_RT1="probable", line_S1="possible", disease="unlikely")
        ),
    )
    for name in ("toxicity.serious_event_updated", "toxicity.serious_event_resolved"):
        kind = TOXICITY.declared_facts[name]
        context = replace(context_of(*own), current_values=current_values(record_of(*own), kind, ""))
        assert views_of(kind, context)["attribution"].hint == (
            "At present: Radiotherapy RT1: probable; Systemic therapy S1: possible; Disease: unlikely. "
            "If you change one of these answers, give all of them: yours replace the present ones."
        )


def test_report_shows_the_present_value_of_every_member_that_it_may_change() -> None:
    """All but the event's id, the time of the report, its own narrative, and the day that only the last report has."""
    own = (toxicity.serious_event_reported(attribution=attributed(disease="unlikely")),)
    for name in ("toxicity.serious_event_updated", "toxicity.serious_event_resolved"):
        kind = TOXICITY.declared_facts[name]
        values = {"serious_event_id", "aware_at", "narrative", *current_values(record_of(*own), kind, "")}
        assert set(kind.model_fields) - values <= {"resolved_on"}


@given(order=st.permutations(range(4)))
def test_current_values_follow_when_the_site_became_aware_and_not_when_it_was_recorded(order: list[int]) -> None:
    reports = [
        toxicity.serious_event_reported(grade=3),
        toxicity.serious_event_updated(
            aware_at="2024-02-03T08:00:00+01:00", grade=4, attribution=attributed(other="unlikely")
        ),
        toxicity.serious_event_updated(aware_at="2024-02-09T08:00:00+01:00", grade=2),
        toxicity.serious_event_resolved(aware_at="2024-02-09T08:00:00+01:00", outcome="RECOVERED/RESOLVED"),
    ]
    values = current_values(record_of(*(reports[index] for index in order)), SeriousEventUpdated, "SAE1")
    assert (values["grade"], values["outcome"]) == (2, "RECOVERED/RESOLVED")
    assert values["attribution"] == attributed(other="unlikely")
    event = serious_events(record_of(*(reports[index] for index in order)))["SAE1"]
    assert (event.grade, event.outcome) == (values["grade"], values["outcome"])
    assert [part.model_dump(mode="json") for part in event.attribution] == values["attribution"]


def test_total_dose_has_the_product_beside_it() -> None:
    pairs = {"fractions": "30", "dose_per_fraction_cgy": "2 Gy", "total_dose_cgy": "60"}
    form = PostedForm(pairs=tuple((f"targets.0.{name}", value) for name, value in pairs.items()))
    views = views_of(PARTICIPANT.declared_facts["radiotherapy.started"], context_of(), form)
    assert views["targets.0.total_dose_cgy"].note == "60 cGy = 0.6 Gy (30 × 200 = 6000 cGy)"


def test_changed_prescription_and_end_are_of_a_running_course() -> None:
    """A second course must not be named by mistake: the free number offered for a new one is not offered here."""
    courses = (*(facts.radiotherapy_started("2024-02-01", name) for name in ("RT1", "RT2")),)
    context = context_of(courses=(*courses, facts.radiotherapy_completed("2024-02-29")))
    for type_name in ("radiotherapy.prescription_changed", "radiotherapy.completed"):
        view = views_of(PARTICIPANT.declared_facts[type_name], context)["course_id"]
        assert (view.kind, [option.value for option in view.options]) == ("radio", ["RT2"])


def test_day_of_death_has_a_box_for_a_day_that_is_not_known() -> None:
    view = views_of(FOLLOWUP.declared_facts["participant.died"], context_of(), PostedForm(pairs=(("died_on", "null"),)))
    box = view["died_on"].null_box
    assert (view["died_on"].value, box and (box.value, box.label, box.is_answer)) == ("", ("null", "Not known", True))


def test_term_of_another_dictionary_is_marked() -> None:
    pairs = (("protocol.toxicity.dictionary", "ctcae-5.0"), ("protocol.toxicity.checklist.0", "3.0:0150"))
    form, opened = PostedForm(pairs=pairs), STUDY.declared_facts["study.opened"]
    context = with_typed_day(FormContext(study=Record(), today=TODAY), opened, form.entries)
    view = views_of(opened, context, form)["protocol.toxicity.checklist.0"]
    assert view.errors == ["The version of CTCAE by which toxicity is graded does not have this term."]
    assert "find" not in view.label
    assert view.kind == "term"


def test_reminder_steps_are_boxes_of_which_the_default_is_ticked() -> None:
    view = views_of(STUDY.declared_facts["study.opened"], context_of())["protocol.reminders.steps"]
    assert (view.kind, [(option.value, option.is_answer) for option in view.options]) == (
        "boxes",
        [("open", True), ("target", True), ("overdue", True)],
    )


def test_one_choice_of_a_standing_grant_fills_member_role_and_site() -> None:
    study = record_of(
        facts.study_opened(),
        facts.member_granted("ada", "monitor"),
        facts.member_granted("bea", "site", "rome"),
        facts.member_granted("cleo", "site", "rome"),
        facts.member_revoked("cleo", "site", "rome"),
    )
    grants = standing_grants(study, MemberRevoked)
    assert [grant.label for grant in grants] == ["ada: Monitor, whole study", "bea: Site, site rome"]
    chosen = with_preset(PostedForm(preset=grants[1].value), grants)
    assert chosen.pairs == (("member", "bea"), ("role", "site"), ("site_id", "rome"))
    assert with_preset(PostedForm(preset="no such"), grants).pairs == ()


@pytest.mark.parametrize(("every", "months", "count"), [("3", "24", 8), ("6", "12", 2), ("x", "24", 1), ("0", "24", 1)])
def test_windows_for_each_visit_are_as_many_as_the_visits(every: str, months: str, count: int) -> None:
    pairs = (("protocol.follow_up.every_months", every), ("protocol.follow_up.for_months", months))
    entries = with_rows(PostedForm(pairs=pairs), WINDOWS).entries
    assert len(entries.within("protocol").within("follow_up").within("window_days").numbers()) == count


def test_visits_of_the_plan_that_is_typed_are_shown_for_a_sample_anchor() -> None:
    opened = fact_fields(STUDY.declared_facts["study.opened"])
    form = PostedForm(pairs=(("protocol.follow_up.every_months", "12"),))
    assert [visit.target for visit in sample_visits(opened, form, TODAY)] == [date(2025, 12, 1), date(2026, 12, 1)]
    assert sample_visits(opened, PostedForm(pairs=(("protocol.follow_up.every_months", "no"),)), TODAY) == ()
    assert sample_visits(fact_fields(MemberRevoked), form, TODAY) == ()


def test_link_fixes_the_visit_that_is_booked_and_the_data_query_that_is_answered() -> None:
    booking, key = FOLLOWUP.declared_facts["visit.scheduled"], "a" * 64
    opened = PostedForm(pairs=(("visit", "3"), ("on", "2024-12-09")), is_first=True)
    assert link_values(opened, booking) == {"visit": "3"}
    controls = Controls(context_of(), opened, constants=link_values(opened, booking))
    visit = next(view for view in FormView(controls).build(fact_fields(booking)) if view.name == "visit")
    assert (visit.kind, visit.note) == ("fixed", "Visit 3: 2024-11-29, window 2024-11-15 to 2024-12-13")
    assert visit.is_offered
    answer = PostedForm(pairs=(("query_key", key),))
    explanation = FOLLOWUP.declared_facts["query.explained"]
    assert link_values(answer, explanation) == {"query_key": key}


@pytest.mark.parametrize("text", ["Call this number", "a" * 63, "A" * 64, f"{'a' * 64} b", "<b>"])
def test_text_that_is_no_key_of_a_data_query_is_not_shown_as_one(text: str) -> None:
    opened = PostedForm(pairs=(("query_key", text),), is_first=True)
    assert link_values(opened, FOLLOWUP.declared_facts["query.explained"]) == {}


@pytest.mark.parametrize("text", ["Call this number", "0", "<b>", "1000"])
def test_text_that_is_no_visit_is_not_fixed_as_one(text: str) -> None:
    opened = PostedForm(pairs=(("visit", text), ("course_id", f"{text} ")), is_first=True)
    assert "visit" not in link_values(opened, FOLLOWUP.declared_facts["visit.scheduled"])


def test_visit_that_the_link_fixed_stays_fixed_in_the_form_that_comes_back() -> None:
    booking = FOLLOWUP.declared_facts["visit.scheduled"]
    sent = PostedForm(pairs=(("visit", "3"),), offered=frozenset({"visit"}))
    assert link_values(sent, booking) == {"visit": "3"}
    assert link_values(replace(sent, offered=frozenset()), booking) == {}


@pytest.mark.parametrize(
    ("type_name", "member", "value", "label"),
    [
        ("followup.visit_missed", "visit", "1", "Visit 1: 2024-05-29, window 2024-05-15 to 2024-06-12"),
        ("followup.visit_missed", "visit", "5", "Visit 5: 2025-05-29, window 2025-05-15 to 2025-06-12"),
        ("visit.scheduled", "visit", "99", "Visit 99 (not among those offered)"),
        ("radiotherapy.completed", "course_id", "RT1", "RT1: palliative, from 2024-02-01"),
        ("participant.transferred", "to_site", "milan", "Milan (milan)"),
        ("disease.progressed", "lesion_id", "L7", "L7 (not among those offered)"),
    ],
)
def test_value_that_is_not_offered_is_a_choice_in_words(type_name: str, member: str, value: str, label: str) -> None:
    """A correction shows the value that stands among the choices, also after another one was chosen."""
    kind = next(s.declared_facts[type_name] for s in (PARTICIPANT, FOLLOWUP) if type_name in s.declared_facts)
    own = (followup.follow_up_recorded("2024-06-01"),)
    sites = (facts.site_activated("milan"), facts.site_closed("milan", "2024-03-01"))
    context = context_of(*own)
    study = record_of(facts.study_opened(facts.protocol()), *sites)
    context = replace(context, study=study, standing_values={member: (value,)})
    for typed in (value, "", "other"):
        view = views_of(kind, context, PostedForm(pairs=((member, typed),)))[member]
        assert {option.value: option.label for option in view.options}[value] == label
        assert all(option.label != option.value for option in view.options if option.value)
