"""A study of a test's own in the running demo, and people who ask about it over HTTP.

People are named by role and site: `investigator`, `site@rome`, `coordinator`, `coordinator@milan`.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import asyncpg
import httpx

from infra.exchange.fact_conversion import read_line
from infra.exchange.import_line import ImportLine
from infra.issuer import Issuer
from infra.reference.study import subject
from shared.contracts.catalogue import STREAMS
from shared.contracts.json_schemas import CONTRACTS_FOLDER, golden_path
from shared.contracts.study import StudyOpened
from shared.kernel.clock import Clock
from shared.kernel.fact import Correction, Fact, Stream, effective_fact
from shared.kernel.sealed_text import extract_texts, insert_texts
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as followup
from shared.testing.builders import toxicity_facts as toxicity
from tests.demo import OPENER, Demo

TIMEOUT_SECONDS = 30.0  # seconds until a promise counts as broken
STUDY_WIDE_ROLES = ("investigator", "coordinator", "monitor", "auditor", "reader")
SITES = ("rome", "milan")
SITE_USERS = tuple(f"{role}@{site}" for site in SITES for role in ("site", "coordinator"))
ALL_USERS = ("administrator", *STUDY_WIDE_ROLES, *SITE_USERS)
STUDY_WIDE_READERS = {"investigator", "monitor", "auditor", "coordinator"}
"""Roles that see the participants of every site."""
ROME_USER = "site@rome"


def service_for(fact: Fact) -> str:
    """The service that takes the fact: a correction's is that of what it restates, a bare void's enrollment."""
    kind = type(effective_fact(fact))
    return next((stream.service for stream in STREAMS if kind in stream.facts.values()), "enrollment")


def _is_not_known_yet(response: httpx.Response) -> bool:
    return response.status_code == 409 and response.json()["type"] == "/problems/not-known-yet"


def body(fact: Fact) -> dict[str, Any]:
    """The fact as a site sends it: sealed texts in the clear."""
    content: dict[str, Any] = insert_texts(fact.model_dump(mode="json", exclude_unset=True), dict(extract_texts(fact)))
    return {"replacement": None, **content} if isinstance(fact, Correction) else content


def batch_entry(fact: Fact) -> dict[str, Any]:
    """The fact as a batch holds it."""
    return {"type": fact.type_name, "data": body(fact)}


def golden_fact(stream: Stream, kind: type[Fact]) -> Fact:
    """The published example of the fact; a required text is replaced by a word."""
    path = CONTRACTS_FOLDER / golden_path(stream.service, kind.type_name, kind.schema_version)
    person = "" if stream.subject == "study" else "somebody"
    return read_line(
        ImportLine(1, kind.type_name, stream.service, json.loads(path.read_text("utf-8")), person, version=1)
    )


DECLARED_FACTS = [
    (stream, kind) for stream in STREAMS for kind in stream.declared_facts.values() if kind is not StudyOpened
]
"""Every fact that may be stated in a study that is there, but the correction."""
PLAIN_FACTS: tuple[Fact, ...] = (
    facts.protocol_amended(9, facts.protocol()),
    facts.site_activated("paris"),
    facts.site_closed("milan", 900),
    facts.member_granted("somebody", "monitor"),
    facts.member_revoked("nobody", "monitor"),
    facts.accrual_closed(900),
    facts.study_closed(900),
    facts.cut_taken(),
    facts.participant_screened(),
    facts.screening_failed(),
    facts.consent_signed(),
    facts.participant_enrolled(),
    facts.baseline_recorded(),
    facts.consent_withdrawn(),
    facts.participant_transferred("milan", 5),
    facts.participant_voided(),
    facts.lesion_registered("L9"),
    facts.procedure_performed(),
    facts.radiotherapy_started(0, "RT9", index=False),
    facts.prescription_changed(),
    facts.radiotherapy_completed(),
    facts.radiotherapy_discontinued(),
    facts.systemic_therapy_started(),
    facts.systemic_therapy_stopped(),
    toxicity.toxicity_assessed(0, toxicity.finding()),
    toxicity.serious_event_reported(),
    toxicity.serious_event_updated(),
    toxicity.serious_event_resolved(),
    followup.follow_up_recorded(40),
    followup.visit_missed(90),
    followup.disease_progressed(40, "L1"),
    followup.vital_status_confirmed(50),
    followup.participant_died(60),
    followup.lost_to_follow_up(70),
    followup.follow_up_resumed(80),
    followup.query_explained(),
    followup.visit_scheduled(95),
    followup.reminder_snoozed(),
    followup.reminder_acknowledged(),
)
EXAMPLE_BODIES = {
    fact.type_name: body(fact)
    for fact in (*(golden_fact(*declared_fact) for declared_fact in DECLARED_FACTS), *PLAIN_FACTS)
}
"""One of each of them as it is sent: what is unremarkable here, or else the published example."""


def users_of_site(site: str) -> set[str]:
    return {f"site@{site}", f"coordinator@{site}"}


def split_user(user: str) -> tuple[str, str | None]:
    role, _, site = user.partition("@")
    return role, site or None


@dataclass
class StudyUnderTest:
    """`external_event_count` counts the events that a test publishes on Kafka itself, past the services."""

    demo: Demo
    http: httpx.Client
    study_id: str = field(default_factory=lambda: f"own-{secrets.token_hex(6)}")
    external_event_count: int = 0

    @property
    def expected_position(self) -> int:
        """The position that analytics will reach: every event of the study that is stored now, by API or form."""
        with ThreadPoolExecutor(1) as thread:  # the caller may be inside an event loop
            stored = thread.submit(asyncio.run, count_stored_events(self.demo, self.study_id)).result()
        return stored + self.external_event_count

    def __post_init__(self) -> None:
        self._issuer = Issuer.load(self.demo.data / "issuer")

    def address(self, path: str = "", service: str = "enrollment") -> str:
        return f"/{service}/v1/studies/{self.study_id}{'/' if path else ''}{path}"

    def authorization(self, user: str, age: timedelta = timedelta()) -> dict[str, str]:
        """The header that says who asks, with a token that was issued so long ago."""
        name = OPENER if user == OPENER else subject(self.study_id, *split_user(user))
        return {"Authorization": f"Bearer {self._issuer.token(name, now=Clock().now() - age)}"}

    def get(self, path: str = "", user: str = ROME_USER, **params: Any) -> httpx.Response:
        """Gets a resource of a participant or study from enrollment."""
        return self.get_from("enrollment", path, user, **params)

    def get_from(self, service: str, path: str, user: str = ROME_USER, **params: Any) -> httpx.Response:
        return self.http.get(self.address(path, service), params=params, headers=self.authorization(user))

    def get_analytics(self, path: str, user: str = "investigator", **params: Any) -> httpx.Response:
        """Gets a resource of the study from analytics."""
        return self.get_from("analytics", path, user, **params)

    def figure(self, name: str, user: str = "investigator", **params: Any) -> dict[str, Any]:
        response = self.get_analytics(f"figures/{name}.json", user, **params)
        assert response.status_code == 200, response.text
        return dict(response.json())

    def post(
        self, path: str, content: Any, user: str = ROME_USER, service: str = "enrollment", **headers: str
    ) -> httpx.Response:
        return self.send(self.address(path, service), content, user, **headers)

    def send(self, address: str, content: Any, user: str = ROME_USER, **headers: str) -> httpx.Response:
        """Sends JSON. Names in `headers` have underscores for hyphens."""
        header_names = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.post(address, json=content, headers={**self.authorization(user), **header_names})

    def record_study_fact(self, fact: Fact, user: str = "administrator") -> httpx.Response:
        return self.post(f"facts/{fact.type_name}", body(fact), user)

    def record_fact(self, participant_id: str, fact: Fact, user: str = ROME_USER, **headers: str) -> httpx.Response:
        """Sends the fact to its service, again until the service knows the participant."""
        service = service_for(fact)
        path = self.address(f"participants/{participant_id}/facts/{fact.type_name}", service)
        deadline = time.monotonic() + TIMEOUT_SECONDS
        response = self.send(path, body(fact), user, **headers)
        while service != "enrollment" and _is_not_known_yet(response) and time.monotonic() < deadline:
            time.sleep(0.02)
            response = self.send(path, body(fact), user, **headers)
        return response

    def register(self, *initial_facts: Fact, user: str = ROME_USER) -> str:
        """Registers a participant with these facts; returns the number."""
        response = self.post("participants", {"facts": [batch_entry(fact) for fact in initial_facts]}, user)
        assert response.status_code == 201, response.text
        return str(response.json()["participant_id"])

    def enroll_at(self, site: str, *extra_facts: Fact, **screening: Any) -> str:
        """Enrolls a participant at the site; returns the number."""
        initial_facts = (
            facts.participant_screened(site_id=site, **screening),
            facts.consent_signed(),
            facts.participant_enrolled(),
        )
        return self.register(*initial_facts, *extra_facts, user=f"site@{site}")

    def wait_until_known(self, participant_id: str) -> str:
        """Waits until toxicity and follow-up have all that enrollment has; returns the number."""
        version = self.get(f"participants/{participant_id}", "investigator").json()["version"]
        for service in ("toxicity", "followup"):
            wait_until(
                partial(self._is_known_to, service, participant_id, version), f"{service} knows {participant_id}"
            )
        self.wait_for_analytics()
        return participant_id

    def _is_known_to(self, service: str, participant_id: str, version: int) -> bool:
        response = self.get_from(service, f"participants/{participant_id}", "investigator")
        return response.status_code == 200 and int(response.json()["enrollment_version"]) >= version

    def wait_for_analytics(self) -> int:
        """Waits until analytics has applied every fact of the study that is stored; returns its position."""
        return wait_for_position(self, self.expected_position)


async def count_stored_events(demo: Demo, study_id: str) -> int:
    """Counts the events of the study in the stores of the services that record facts."""
    count = 0
    for service in {stream.service for stream in STREAMS}:
        connection = await asyncpg.connect(demo_environment(demo)[f"QUARTAL_{service.upper()}_SYSTEM_URL"])
        try:
            count += await connection.fetchval("select count(*) from events where study_id = $1", study_id)
        finally:
            await connection.close()
    return count


def wait_for_position(study: StudyUnderTest, position: int) -> int:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        response = study.get_analytics("position", "administrator")
        if response.status_code == 200 and response.json()["position"] >= position:
            return int(response.json()["position"])
        time.sleep(0.02)
    raise AssertionError(f"analytics did not reach position {position} of {study.study_id}: {response.text}")


def wait_until(condition: Callable[[], bool], description: str, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"it did not come true that {description}")
        time.sleep(0.02)


def opening_request(study_id: str, **protocol: Any) -> dict[str, Any]:
    return {"study_id": study_id, **body(facts.study_opened(facts.protocol(**protocol)))}


@contextmanager
def open_study(demo: Demo, **protocol: Any) -> Iterator[StudyUnderTest]:
    """Opens a study with two sites and a member in every role."""
    with httpx.Client(base_url=demo.url, timeout=TIMEOUT_SECONDS, trust_env=False) as http:
        study = StudyUnderTest(demo, http)
        request: Mapping[str, Any] = opening_request(study.study_id, **protocol)
        response = http.post("/enrollment/v1/studies", json=request, headers=study.authorization("administrator"))
        assert response.status_code == 201, response.text
        for site in SITES:
            assert study.record_study_fact(facts.site_activated(site)).status_code == 201
        for user in (*STUDY_WIDE_ROLES, *SITE_USERS):
            role, site_id = split_user(user)
            assert (
                study.record_study_fact(
                    facts.member_granted(subject(study.study_id, role, site_id), role, site_id)
                ).status_code
                == 201
            )
        yield study


def is_indistinguishable(first: httpx.Response, second: httpx.Response) -> bool:
    """Returns whether the responses are equal except for the header Date."""
    visible_headers = [
        [(name, value) for name, value in response.headers.raw if name.lower() != b"date"]
        for response in (first, second)
    ]
    return (first.status_code, first.content, visible_headers[0]) == (
        second.status_code,
        second.content,
        visible_headers[1],
    )


def find_event_id(
    study: StudyUnderTest, participant_id: str, type_name: str, service: str = "enrollment", user: str = ROME_USER
) -> str:
    events = study.get_from(service, f"participants/{participant_id}/history", user).json()["events"]
    return next(str(event["event_id"]) for event in events if event["type"] == type_name)


def demo_environment(demo: Demo) -> dict[str, str]:
    settings: dict[str, str] = json.loads((demo.data / "state.json").read_text())["environment"]
    return settings
