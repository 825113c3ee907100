"""The page of the caller's own subscription, and the page that confirms an address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError

from services.analytics import urls
from services.analytics.reminders.digest import MailDetail
from services.analytics.reminders.subscriptions.api import SubscriptionRequest, SubscriptionResources
from services.analytics.reminders.subscriptions.service import SubscriptionService
from services.analytics.reminders.subscriptions.subscription import Subscription, is_study_wide, may_subscribe
from services.analytics.snapshot.api import StudyResources
from services.analytics.study_header import StudyPage, build_study_header
from shared.contracts.study import SiteActivated
from shared.eventstore.study_cache import StudyState
from shared.kernel.errors import NoDigest, NoMailServer, RequestError, RequestRejected, TooManyMails
from shared.ui.forms.entries import PostedForm, parse_form
from shared.ui.forms.requests import FormRoute, form_token, keep_form_token, require_form_token
from shared.ui.pages import Pages, html_response
from shared.web.container import get_container
from shared.web.fact_recording import StudyIdPath

PAGE = StudyPage(route=urls.subscription_url("{study_id}"), nav_label="Digest", may_see=may_subscribe)
routes = APIRouter(include_in_schema=False, route_class=FormRoute)
pages = Pages("analytics", Path(__file__).with_name("templates"))
_SHOWN_REFUSALS = (RequestRejected, TooManyMails, NoMailServer, NoDigest)
SENT = "Today's digest is on its way."
TokenParameter = Annotated[str, Query(max_length=100)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionView:
    """The form, with what stands or what was typed.

    `sites`: those to choose from; empty for members of sites. `detail`: None in an installation that sends no mail.
    `calendar_url`: the address of the calendar; None where none is wanted.
    """

    subscription: Subscription | None
    field_values: Mapping[str, str]
    sites: Mapping[str, str]
    token: str
    detail: MailDetail | None
    calendar_url: str | None
    error: str = ""
    notice: str = ""


@routes.get(PAGE.route)
async def subscription_page(request: Request, study: StudyIdPath, sent: bool = False) -> Response:
    await get_container(request).authenticate(request)
    subscription = await _service(request).load(study, request.state.caller.subject)
    return await _show(request, study, subscription, _written(subscription), notice=SENT if sent else "")


@routes.post(PAGE.route)
async def change_subscription(request: Request, study: StudyIdPath) -> Response:
    form = parse_form(await request.body())
    require_form_token(request, form.csrf)
    await get_container(request).authenticate(request)
    service, member = _service(request), request.state.caller.subject
    before = await service.load(study, member)
    address = urls.subscription_url(study)
    try:
        if form.button[0] == "remove":
            await service.end(study, member)
        elif form.button[0] == "find":
            await get_container(request).get_resources(SubscriptionResources).requested_digests.send(study, member)
            address = f"{address}?sent=true"
        elif form.button == ("record", "calendar"):
            await _calendar_url(request, study, renews=True)
        else:
            await service.write(study, member, _read_form(form).to_choice())
    except ValidationError as error:
        return await _show(request, study, before, dict(form.pairs), error=_sentence(error))
    except _SHOWN_REFUSALS as refusal:
        return await _show(request, study, before, dict(form.pairs), error=_reason(refusal), status=refusal.status)
    return RedirectResponse(address, 303)


@routes.get("/analytics/subscriptions/confirm")
async def confirmation_page(request: Request, token: TokenParameter = "") -> Response:
    await get_container(request).authenticate(request)
    pending = await _service(request).find_confirmation(request.state.caller.subject, token)
    csrf = form_token(request)
    html = pages.render(
        "confirmation.html",
        pending=pending,
        link_token=token,
        token=csrf,
        detail=_service(request).detail,
        member=request.state.caller.subject,
    )
    return _private(request, html_response(html), csrf)


@routes.post("/analytics/subscriptions/confirm")
async def confirm_address(request: Request) -> Response:
    form = parse_form(await request.body())
    require_form_token(request, form.csrf)
    await get_container(request).authenticate(request)
    pending = await _service(request).confirm(request.state.caller.subject, dict(form.pairs).get("token", ""))
    return RedirectResponse(urls.subscription_url(pending.study_id), 303)


def _service(request: Request) -> SubscriptionService:
    return get_container(request).get_resources(SubscriptionResources).subscriptions


async def _calendar_url(request: Request, study: str, *, renews: bool = False) -> str | None:
    addresses = get_container(request).get_resources(SubscriptionResources).calendar_addresses
    return await addresses.own_url(study, request.state.caller.subject, renews=renews)


def _read_form(form: PostedForm) -> SubscriptionRequest:
    texts = {name: value.strip() for name, value in form.pairs}
    return SubscriptionRequest.model_validate(
        {
            "email": texts.get("email", ""),
            "digest": "digest" in texts,
            "calendar": "calendar" in texts,
            "away_until": texts.get("away_until") or None,
            "site_id": texts.get("site_id") or None,
        }
    )


def _written(subscription: Subscription | None) -> Mapping[str, str]:
    """Returns the fields of the form for what stands; a new subscription begins with digests."""
    if subscription is None:
        return {"digest": "on"}
    choice = subscription.choice
    fields = {
        "email": choice.email,
        "away_until": choice.away_until.isoformat() if choice.away_until else "",
        "site_id": choice.site_id or "",
    }
    boxes = {"digest": choice.digest, "calendar": choice.calendar}
    return fields | {name: "on" for name, is_ticked in boxes.items() if is_ticked}


def _sentence(error: ValidationError) -> str:
    details = error.errors(include_url=False, include_input=False)
    names = {str(detail["loc"][0]) for detail in details if detail["loc"]}
    if "email" in names:
        return "Give a bare address of mail, such as name@hospital.example, without accents."
    return "Give the day as YYYY-MM-DD." if "away_until" in names else "The form cannot be read."


def _reason(refusal: RequestError) -> str:
    return refusal.faults[0].message if refusal.faults else refusal.title


async def _show(
    request: Request,
    study: str,
    subscription: Subscription | None,
    field_values: Mapping[str, str],
    *,
    error: str = "",
    notice: str = "",
    status: int = 422,
) -> Response:
    resources = get_container(request).get_resources(StudyResources)
    state, position = await resources.studies.current(study), await resources.reader.projection_position(study)
    header = await build_study_header(
        request, study, PAGE, heading="Digest", position=position.position, recorded_at=position.recorded_at
    )
    token = form_token(request)
    view = SubscriptionView(
        subscription=subscription,
        field_values=field_values,
        sites=_sites_to_choose(state, request.state.caller.subject),
        token=token,
        detail=_service(request).detail,
        calendar_url=await _calendar_url(request, study),
        error=error,
        notice=notice,
    )
    response = html_response(pages.render_study("subscription.html", header, view=view), status if error else 200)
    return _private(request, response, token)


def _sites_to_choose(study: StudyState, member: str) -> dict[str, str]:
    """Returns the names of the sites by their ids for a study-wide member; nothing for others."""
    if not is_study_wide(study.rights(member)):
        return {}
    return {site.site_id: site.name for site in study.record.facts_of(SiteActivated)}


def _private(request: Request, response: Response, token: str) -> Response:
    response.headers["Cache-Control"] = "no-store, no-transform"
    keep_form_token(request, response, token)
    return response
