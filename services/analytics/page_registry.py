"""The pages of a study, in the order of the navigation. The application and the header of each page read this list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fastapi import APIRouter

from services.analytics.cuts import page as changes_page
from services.analytics.figures import page as cohort_page
from services.analytics.literature import page as literature_page
from services.analytics.operations import page as operations_page
from services.analytics.participants import page as participants_page
from services.analytics.queries import page as queries_page
from services.analytics.reminders.listing import page as reminders_page
from services.analytics.reminders.subscriptions import page as subscription_page
from services.analytics.schedule import page as worklist_page
from services.analytics.study_header import StudyPage
from services.analytics.timeline import page as participant_page
from shared.contracts.catalogue import STUDY
from shared.security.grants import Rights
from shared.ui.forms import addresses


def _records_study_facts(rights: Rights) -> bool:
    return any(rights.sites_with_role(fact.stated_by_roles) for fact in STUDY.declared_facts.values())


class PageModule(Protocol):
    """A module with the description of a page, and with the routes of the page and of its parts."""

    PAGE: StudyPage
    routes: APIRouter


PAGE_MODULES: Sequence[PageModule] = (
    cohort_page,
    literature_page,
    changes_page,
    worklist_page,
    participants_page,
    participant_page,
    queries_page,
    reminders_page,
    subscription_page,
    operations_page,
)
STUDY_FORMS = StudyPage(
    route=addresses.study_base(STUDY.service, "{study_id}"), nav_label="Study facts", may_see=_records_study_facts
)
"""The page of enrollment with the forms of the study's own facts."""
