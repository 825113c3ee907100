"""Renders forms, and the pages that answer them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from shared.kernel.errors import Fault
from shared.protocol.schedule import Visit
from shared.security.grants import Rights
from shared.ui.forms import addresses
from shared.ui.forms.confirmation import CHECK_HINT, answers_digest, is_confirmed, lacks_check
from shared.ui.forms.controls import Controls
from shared.ui.forms.data_query import DataQueryLink, find_data_query
from shared.ui.forms.entries import Pair, PostedForm
from shared.ui.forms.faults import field_name, with_labels
from shared.ui.forms.field_view import FieldView
from shared.ui.forms.fields import Group, offers_within
from shared.ui.forms.labels import label_of
from shared.ui.forms.offers import questions
from shared.ui.forms.presets import NAME, preset_view
from shared.ui.forms.reading import FormReading
from shared.ui.forms.requests import form_token, keep_form_token
from shared.ui.forms.sample_visits import sample_visits
from shared.ui.forms.targets import FormTarget
from shared.ui.forms.views import FormView
from shared.ui.forms.words import FactChange, FactLine
from shared.ui.navigation import Link
from shared.ui.pages import Pages, html_response

_NOT_FOCUSED = frozenset({"hidden", "fixed", "group", "rows", "row", "map", "radio", "boxes"})
NO_FAULT = "Nothing is wrong with these answers. Nothing was recorded yet."
TEMPLATES = Path(__file__).with_name("templates")


def create_form_pages(service: str) -> Pages:
    return Pages(service, TEMPLATES)


@dataclass(frozen=True, slots=True, kw_only=True)
class FormNotice:
    """A sentence above a form, with links, changes or lines: what was recorded meanwhile, what a correction changes, or
    what a fact stops."""

    text: str
    links: Sequence[Link] = ()
    lines: Sequence[FactLine] = ()
    changes: Sequence[FactChange] = ()


@dataclass(frozen=True, slots=True)
class ErrorLink:
    """An error of the summary; `field_id` is empty for one that belongs to no field."""

    message: str
    field_id: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Button:
    """A button that records, and the value of `record` that it sends."""

    value: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FormPage:
    """Everything that the template of a form shows."""

    target: FormTarget
    form: PostedForm
    token: str
    member: str
    action: str
    fields: Sequence[FieldView]
    summary: Sequence[ErrorLink] = ()
    notice: FormNotice | None = None
    focus_name: str = ""
    visits: Sequence[Visit] = ()
    questions_changed: bool = False
    asks_again: bool = False
    check_hint: str = ""
    data_query: DataQueryLink | None = None
    terms_url: str = ""
    crumbs: Sequence[Link] = ()

    @property
    def buttons(self) -> Sequence[Button]:
        """Buttons that record; none before the check of a fact that is checked first."""
        if self.check_hint:
            return []
        if self.target.is_void:
            return [Button("restate", "Re-instate this fact")]
        if self.target.replacement:
            return [Button("restate", "Record the correction"), Button("void", "Void this fact")]
        return [Button("1", "Record again" if self.asks_again else "Record")]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """The page of one recorded fact. `recorded_at` is by the clock of the site."""

    heading: str
    study_id: str
    recorded_at: str
    recorded_by: str
    lines: Sequence[FactLine]
    state: str = ""
    correct_url: str = ""
    timeline_url: str = ""
    crumbs: Sequence[Link] = ()
    next_links: Sequence[Link] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class FormReply:
    """A form that is shown again: what was read of it, what is wrong, and the field that gets the focus."""

    form: PostedForm
    reading: FormReading | None = None
    faults: Sequence[Fault] = ()
    notice: FormNotice | None = None
    status: int = 200
    focus: str = ""


def render_form(pages: Pages, request: Request, target: FormTarget, reply: FormReply) -> Response:
    """Returns the page of a form, with every value kept and each fault at its field."""
    errors = _errors_by_name(target, reply.reading or FormReading(), reply.faults)
    messages = {name: list(texts) for name, texts in errors.items()}
    form, token = reply.form, form_token(request)
    controls = Controls(target.context, form, errors, target.constants)
    fields = (
        [preset_view(form, target.presets, controls.take_errors(NAME))]
        if target.presets
        else FormView(controls).build(target.form.fields)
    )
    question_key = questions(target.context, offers_within(target.form.fields))
    page = FormPage(
        target=target,
        form=replace(form, csrf=token, asked=question_key),
        token=token,
        member=request.state.caller.subject,
        action=request.url.path,
        fields=fields,
        summary=_summary(messages, fields),
        notice=reply.notice,
        focus_name=_focused_control(fields, reply.focus),
        visits=sample_visits(target.form.fields, form, target.context.today),
        questions_changed=bool(form.asked) and form.asked != question_key,
        asks_again=_is_question_answered(target, reply),
        data_query=find_data_query(target),
        terms_url=addresses.terms_url(target.service, "new" if target.opens_study else target.study_id),
        check_hint=CHECK_HINT if lacks_check(target, form, reply.reading) else "",
        crumbs=()
        if target.opens_study
        else crumbs(target.service, target.study_id, target.rights, target.participant_id),
    )
    response = html_response(pages.render("form.html", page=page, member=page.member), reply.status)
    keep_form_token(request, response, token)
    return response


def _is_question_answered(target: FormTarget, reply: FormReply) -> bool:
    """Returns whether the next click records the answers although an equal fact stands."""
    if target.form.requires_check or reply.reading is None:
        return False
    return is_confirmed(reply.form, answers_digest(reply.form, reply.reading.body))


def _focused_control(fields: Sequence[FieldView], name: str) -> str:
    """Returns the name of the first control that is typed in or chosen from, at the name or within it."""
    within = [view for view in _all_views(fields) if name and (view.name == name or view.name.startswith(f"{name}."))]
    return next((view.name for view in within if view.kind not in _NOT_FOCUSED), "")


def crumbs(service: str, study_id: str, rights: Rights, participant_id: str = "") -> list[Link]:
    """Returns links to the study, to what the caller recorded today in a service, and to the participant.

    The list of participants is left out for a member with these rights who sees no participants.
    """
    links = [Link(f"/analytics/studies/{study_id}", study_id)]
    if rights.visible_sites:
        links.append(Link(addresses.participants_url(study_id), "Participants"))
    links.append(Link(addresses.recorded_url(service, study_id), "Recorded today"))
    if participant_id:
        links.append(Link(addresses.participant_base("enrollment", study_id, participant_id), participant_id))
    return links


def _errors_by_name(target: FormTarget, reading: FormReading, faults: Sequence[Fault]) -> dict[str, list[str]]:
    errors: dict[str, list[str]] = {}
    for fault in faults:
        name = field_name(fault.pointer, target.form.fields, reading) if fault.pointer else ""
        texts = errors.setdefault(NAME if fault.pointer == f"/{NAME}" else name, [])
        message = with_labels(fault.message, target.form.fields)
        if message not in texts:
            texts.append(message)
    return errors


def _summary(messages: Mapping[str, Sequence[str]], fields: Sequence[FieldView]) -> list[ErrorLink]:
    views = {view.name: view for view in _all_views(fields)}
    order = {name: index for index, name in enumerate(views)}
    return [
        ErrorLink(text, views[name].id if name in views else "", views[name].label if name in views else "")
        for name in sorted(messages, key=lambda name: order.get(name, -1))
        for text in messages[name]
    ]


def _all_views(views: Sequence[FieldView]) -> Sequence[FieldView]:
    return [inner for view in views for inner in (view, *_all_views(view.children))]


def render_signed_out(
    pages: Pages,
    request: Request,
    form: PostedForm,
    fields: Group | None = None,
    *,
    unlisted: frozenset[str] = frozenset(),
) -> Response:
    """Returns the page that keeps what was typed for a person whose session has ended. It looks nothing up.

    `fields`: those of the form's class, which give the labels; None where the class is only known to the record.
    `unlisted`: names of values that the page filled in itself, so that it keeps them and does not list them.
    """
    return html_response(pages.render("signed_out.html", **_kept_answers(request, form, fields, unlisted)), 401)


def render_not_here(
    pages: Pages, request: Request, form: PostedForm, reason: str, fields: Group | None = None
) -> Response:
    """Returns the page that keeps what was typed about a participant or a fact that was not found.

    `fields`: those of the form's class, as above.
    """
    answers = _kept_answers(request, form, fields)
    html = pages.render("not_here.html", reason=reason, member=request.state.caller.subject, **answers)
    return html_response(html, 404)


def _kept_answers(
    request: Request, form: PostedForm, fields: Group | None, unlisted: frozenset[str] = frozenset()
) -> Mapping[str, Any]:
    """Returns the values of a template that keeps a form, and knows no more of it than what was typed."""
    typed_pairs = [(name, value) for name, value in form.pairs if value.strip() and name not in unlisted]
    answers: Sequence[Pair] = [(label_of(fields, name), value) for name, value in typed_pairs]
    hidden = [*form.pairs, *form.own_pairs()]
    return {"pairs": answers, "hidden": hidden, "action": request.url.path, "opened_by": form.member}
