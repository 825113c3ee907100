"""The resources of the analytics service, which combine those of its features."""

from __future__ import annotations

from dataclasses import dataclass

from services.analytics.cuts.api import ChangeResources
from services.analytics.documents.api import DocumentResources
from services.analytics.figures.api import FigureResources
from services.analytics.figures.document_links import DocumentLinkResources
from services.analytics.literature.api import LiteratureResources
from services.analytics.live.api import LiveResources
from services.analytics.participants.api import ParticipantResources
from services.analytics.queries.api import QueryResources
from services.analytics.reminders.calendar_feed.api import CalendarResources
from services.analytics.reminders.listing.api import ReminderResources
from services.analytics.reminders.subscriptions.api import SubscriptionResources
from services.analytics.schedule.api import WorklistResources
from services.analytics.study_header import PageResources
from services.analytics.timeline.api import TimelineResources


@dataclass(frozen=True, kw_only=True)
class Analytics(
    PageResources,
    FigureResources,
    ChangeResources,
    LiteratureResources,
    DocumentResources,
    DocumentLinkResources,
    QueryResources,
    ParticipantResources,
    WorklistResources,
    ReminderResources,
    TimelineResources,
    SubscriptionResources,
    CalendarResources,
    LiveResources,
):
    """The resources of all features. Each feature reads its own base class, and so does not depend on the others."""
