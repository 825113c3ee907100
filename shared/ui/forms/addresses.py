"""Addresses of forms, of the pages of recorded facts, and of the JSON routes that state the same."""

from __future__ import annotations

from urllib.parse import urlencode


def study_base(service: str, study: str) -> str:
    return f"/{service}/studies/{study}"


def participant_base(service: str, study: str, participant: str) -> str:
    return f"{study_base(service, study)}/participants/{participant}"


def form_url(service: str, study: str, type_name: str, participant: str = "", after: str = "") -> str:
    """The form of a fact; `after` is a version of enrollment that the service has to know first."""
    base = participant_base(service, study, participant) if participant else study_base(service, study)
    query = f"?{urlencode({'after': after})}" if after and service != "enrollment" else ""
    return f"{base}/facts/{type_name}{query}"


def event_url(service: str, study: str, event: object, participant: str = "") -> str:
    base = participant_base(service, study, participant) if participant else study_base(service, study)
    return f"{base}/events/{event}"


def correction_url(service: str, study: str, participant: str, event: object) -> str:
    return f"{participant_base(service, study, participant)}/corrections/{event}"


def participants_url(study: str) -> str:
    """The list of a site's own participants."""
    return f"{study_base('enrollment', study)}/participants"


def recorded_url(service: str, study: str, day: str = "") -> str:
    """The list of facts that the caller recorded in a service on a day: YYYY-MM-DD, or today."""
    query = f"?{urlencode({'on': day})}" if day else ""
    return f"{study_base(service, study)}/recorded{query}"


def find_url(study: str) -> str:
    """The page that finds a participant, by number or by the site's own one."""
    return f"{participants_url(study)}/find"


def new_participant_url(study: str) -> str:
    return f"{participants_url(study)}/new"


def json_path(service: str, study: str, type_name: str, participant: str = "") -> str:
    """The JSON route that states the fact."""
    middle = f"/participants/{participant}" if participant else ""
    return f"/{service}/v1/studies/{study}{middle}/facts/{type_name}"


def terms_url(service: str, study: str) -> str:
    """The terms for words that are typed in a form."""
    return f"{study_base(service, study)}/terms"


def data_query_url(study: str, participant: str, key: str) -> str:
    """The list of the participant's data queries, at the one with this key."""
    query = urlencode({"participant": participant, "state": "all"})
    return f"/analytics/studies/{study}/queries?{query}#key-{participant}-{key}"


def data_queries_json_url(study: str, participant: str) -> str:
    """Every data query about the participant, as JSON."""
    query = urlencode({"participant": participant, "state": "all", "limit": 1000})
    return f"/analytics/v1/studies/{study}/queries.json?{query}"


def timeline_url(study: str, participant: str, event: object, after: str) -> str:
    """The participant's page of analytics, at a fact; `after` is the version that it has to show."""
    return f"/analytics/studies/{study}/participants/{participant}?{urlencode({'after': after})}#fact-{event}"
