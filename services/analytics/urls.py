"""Addresses of the pages of a study, of their parts, and of the files that they offer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

Query = Mapping[str, str | Sequence[str]]
"""Parameters by name; one with several values is repeated."""
NO_QUERY: Mapping[str, str] = {}


def cohort_url(study: str, query: Query = NO_QUERY) -> str:
    return _with_query(f"/analytics/studies/{study}", query)


def figure_url(study: str, name: str, query: Query = NO_QUERY) -> str:
    """One figure of the cohort page, alone."""
    return _with_query(f"{cohort_url(study)}/figures/{name}", query)


def headline_url(study: str, query: Query = NO_QUERY) -> str:
    """The first numbers of the cohort page, alone."""
    return _with_query(f"{cohort_url(study)}/headline", query)


def data_cuts_url(study: str, query: Query = NO_QUERY) -> str:
    """The data cuts of a study and the documents of the one that is shown, alone."""
    return _with_query(f"{cohort_url(study)}/data-cuts", query)


def figure_file_url(study: str, name: str, extension: str, query: Query = NO_QUERY) -> str:
    return _with_query(f"{_api_url(study)}/figures/{name}{extension}", query)


def changes_url(study: str, query: Query = NO_QUERY) -> str:
    """The changes of a study since a data cut or a position, which `since` names."""
    return _with_query(f"{cohort_url(study)}/changes", query)


def changes_file_url(study: str, extension: str, since: str) -> str:
    return _with_query(f"{_api_url(study)}/changes{extension}", {"since": since})


def literature_url(study: str, query: Query = NO_QUERY) -> str:
    """The publications beside a study."""
    return _with_query(f"{cohort_url(study)}/literature", query)


def literature_file_url(study: str, extension: str, query: Query = NO_QUERY) -> str:
    return _with_query(f"{_api_url(study)}/literature{extension}", query)


def document_url(study: str, name: str, cut: str, site: str | None = None) -> str:
    """A document of a data cut; of one site with `site`."""
    return _with_query(f"{_api_url(study)}/{name}", {"at": f"cut:{cut}", **({"site": site} if site else {})})


def participants_url(study: str, query: Query = NO_QUERY) -> str:
    return _with_query(f"{cohort_url(study)}/participants", query)


def participant_url(study: str, participant_id: str) -> str:
    return f"{participants_url(study)}/{participant_id}"


def fact_url(study: str, participant_id: str, event_id: object) -> str:
    """One fact on the page of its participant."""
    return f"{participant_url(study, participant_id)}#fact-{event_id}"


def timeline_url(study: str, participant_id: str, query: Query = NO_QUERY) -> str:
    """The timeline of a participant's page, alone."""
    return _with_query(f"{participant_url(study, participant_id)}/timeline", query)


def timeline_file_url(study: str, participant_id: str, extension: str, query: Query = NO_QUERY) -> str:
    return _with_query(f"{_api_url(study)}/participants/{participant_id}/timeline{extension}", query)


def open_queries_url(study: str, participant_id: str) -> str:
    """The open data queries of a participant's page, alone."""
    return f"{participant_url(study, participant_id)}/queries"


def queries_url(study: str, query: Query = NO_QUERY) -> str:
    return _with_query(f"{cohort_url(study)}/queries", query)


def queries_file_url(study: str) -> str:
    return f"{_api_url(study)}/queries.json"


def worklist_url(study: str, query: Query = NO_QUERY) -> str:
    return _with_query(f"{cohort_url(study)}/worklist", query)


def worklist_file_url(study: str, extension: str, query: Query = NO_QUERY) -> str:
    return _with_query(f"{_api_url(study)}/worklist{extension}", query)


def reminders_url(study: str, query: Query = NO_QUERY) -> str:
    return _with_query(f"{cohort_url(study)}/reminders", query)


def reminders_file_url(study: str, extension: str, query: Query = NO_QUERY) -> str:
    return _with_query(f"{_api_url(study)}/reminders{extension}", query)


def subscription_url(study: str) -> str:
    """The page of the caller's own subscription to messages of the study."""
    return f"{cohort_url(study)}/subscription"


def confirmation_url(token: str) -> str:
    """The page that confirms an address of mail."""
    return _with_query("/analytics/subscriptions/confirm", {"token": token})


def calendar_url(secret: str) -> str:
    """The calendar feed at a secret address."""
    return f"/analytics/calendars/{secret}.ics"


def live_url(study: str) -> str:
    """The event stream that names the parts of the study's pages that have changed."""
    return f"{_api_url(study)}/live"


def _api_url(study: str) -> str:
    return f"/analytics/v1/studies/{study}"


def _with_query(path: str, query: Query) -> str:
    encoded = urlencode(query, doseq=True)
    return f"{path}?{encoded}" if encoded else path
