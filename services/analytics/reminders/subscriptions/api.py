"""The caller's own subscription over HTTP, and the end of deliveries to a dead address.

This module does not postpone annotations: FastAPI reads the class of a body when the route is created.
"""

from dataclasses import dataclass
from datetime import date
from typing import Annotated

from fastapi import Request, Response
from pydantic import AfterValidator, ConfigDict, Field, StrictBool

from services.analytics.reminders.requested_digests import RequestedDigests
from services.analytics.reminders.subscriptions.calendar_addresses import CalendarAddresses
from services.analytics.reminders.subscriptions.service import SubscriptionService
from services.analytics.reminders.subscriptions.subscription import Subscription, SubscriptionChoice
from shared.contracts.study import Subject
from shared.kernel.errors import NotFound
from shared.kernel.ids import SiteId
from shared.kernel.partial_date import Day
from shared.kernel.schema_name import NamedSchema
from shared.mail_server import is_mail_address
from shared.web.container import Resources, get_container
from shared.web.entitlement import require_entitlement, study_of_path
from shared.web.fact_recording import StudyIdPath
from shared.web.fact_routes import create_router, refusal_responses
from shared.web.response_models import model_response

routes = create_router("/analytics/v1/studies/{study_id}")


def _require_address(text: str) -> str:
    if not is_mail_address(text):
        raise ValueError("Give a bare address of mail, such as name@hospital.example, without accents.")
    return text


class SubscriptionRequest(NamedSchema):
    """The messages that the caller wants to receive, and the address for them."""

    model_config = ConfigDict(extra="forbid")

    email: Annotated[str, Field(max_length=254), AfterValidator(_require_address)]
    digest: StrictBool = Field(description="a mail on each working day on which a visit needs something")
    calendar: StrictBool = Field(description="the visits as a calendar, at a secret address")
    away_until: Annotated[Day | None, Field(description="no digest before this day")] = None
    site_id: Annotated[
        SiteId | None,
        Field(description="for coordinators of the whole study: the site whose hour and holidays count"),
    ] = None

    def to_choice(self) -> SubscriptionChoice:
        return SubscriptionChoice(
            email=self.email,
            digest=self.digest,
            calendar=self.calendar,
            away_until=self.away_until,
            site_id=self.site_id,
        )


class SubscriptionAnswer(NamedSchema):
    """The caller's subscription. `confirmed`: whether messages go to `email`."""

    email: str
    digest: bool
    calendar: bool
    away_until: date | None
    site_id: str | None
    confirmed: bool
    confirmed_email: str | None = Field(description="the address to which messages go; null: none yet")
    calendar_url: str | None = Field(
        description="the address of the calendar, which needs no other credential; null: no calendar is wanted"
    )
    ends_on: date = Field(description="the day on which it ends unless it is written or confirmed again")

    @classmethod
    def of(cls, subscription: Subscription, calendar_url: str | None) -> "SubscriptionAnswer":
        choice = subscription.choice
        return cls(
            email=choice.email,
            digest=choice.digest,
            calendar=choice.calendar,
            away_until=choice.away_until,
            site_id=choice.site_id,
            confirmed=subscription.is_confirmed,
            confirmed_email=subscription.confirmed_address,
            calendar_url=calendar_url,
            ends_on=subscription.ends_at.date(),
        )


class CalendarAddressAnswer(NamedSchema):
    """The address of the caller's calendar. It needs no other credential."""

    calendar_url: str


class DeadAddress(NamedSchema):
    """A member whose address does not exist any more."""

    model_config = ConfigDict(extra="forbid")

    member: Subject


@dataclass(frozen=True, kw_only=True)
class SubscriptionResources(Resources):
    """The resources of subscriptions."""

    subscriptions: SubscriptionService
    requested_digests: RequestedDigests
    calendar_addresses: CalendarAddresses


def _service(request: Request) -> SubscriptionService:
    return get_container(request).get_resources(SubscriptionResources).subscriptions


async def require_subscriber(request: Request) -> None:
    """Raises NotFound, Forbidden for a caller who cannot subscribe, before the body is read."""
    await _service(request).authorize(study_of_path(request), request.state.caller.subject)


async def require_administrator(request: Request) -> None:
    await _service(request).require_administrator(study_of_path(request), request.state.caller.subject)


@routes.get(
    "/subscription",
    name="subscription",
    summary="Own subscription",
    response_model=SubscriptionAnswer,
    tags=["reading"],
)
async def read_subscription(request: Request, study: StudyIdPath) -> Response:
    """Returns the caller's subscription to messages of the study."""
    subscription = await _service(request).load(study, request.state.caller.subject)
    if subscription is None:
        raise NotFound("You have no subscription in this study. Subscribe first.")
    return await _answer(request, study, subscription)


@routes.put(
    "/subscription",
    name="write_subscription",
    summary="Subscribe",
    response_model=SubscriptionAnswer,
    tags=["subscriptions"],
)
@require_entitlement(require_subscriber)
async def write_subscription(request: Request, study: StudyIdPath, wish: SubscriptionRequest) -> Response:
    """Writes the caller's subscription, and renews it for 12 months. A new address is mailed a link to confirm it."""
    subscription = await _service(request).write(study, request.state.caller.subject, wish.to_choice())
    return await _answer(request, study, subscription)


async def _answer(request: Request, study: str, subscription: Subscription) -> Response:
    addresses = get_container(request).get_resources(SubscriptionResources).calendar_addresses
    url = await addresses.own_url(study, request.state.caller.subject)
    return model_response(SubscriptionAnswer.of(subscription, url))


@routes.post(
    "/subscription/calendar",
    name="renew_calendar",
    summary="New address of the own calendar",
    response_model=CalendarAddressAnswer,
    tags=["subscriptions"],
)
async def renew_calendar(request: Request, study: StudyIdPath) -> Response:
    """Gives the caller's calendar a new secret address. The old one does not exist from then on."""
    addresses = get_container(request).get_resources(SubscriptionResources).calendar_addresses
    url = await addresses.own_url(study, request.state.caller.subject, renews=True)
    if url is None:
        raise NotFound("You have no subscription with a calendar in this study. Subscribe first.")
    return model_response(CalendarAddressAnswer(calendar_url=url))


@routes.delete("/subscription", name="end_subscription", summary="Unsubscribe", status_code=204, tags=["subscriptions"])
async def end_subscription(request: Request, study: StudyIdPath) -> Response:
    """Ends the caller's subscription: no message and no calendar any more."""
    await _service(request).end(study, request.state.caller.subject)
    return Response(status_code=204)


@routes.post(
    "/subscription/digest",
    name="send_digest",
    summary="Send today's digest",
    status_code=204,
    tags=["subscriptions"],
    responses=refusal_responses({409: "No message is sent: `title` says why"}),
)
async def send_digest(request: Request, study: StudyIdPath) -> Response:
    """Sends the caller's digest of today now, whatever the hour; the same bytes once more if it has gone already."""
    digests = get_container(request).get_resources(SubscriptionResources).requested_digests
    await digests.send(study, request.state.caller.subject)
    return Response(status_code=204)


@routes.post(
    "/dead-addresses",
    name="mark_address_dead",
    summary="Mark a member's address as dead",
    status_code=204,
    tags=["subscriptions"],
)
@require_entitlement(require_administrator)
async def mark_address_dead(request: Request, study: StudyIdPath, dead: DeadAddress) -> Response:
    """Sends nothing more to the member until an address is confirmed. For administrators, who do not see it."""
    await _service(request).mark_dead(study, request.state.caller.subject, dead.member)
    return Response(status_code=204)
