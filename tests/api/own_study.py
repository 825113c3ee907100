"""A study of a test's own in the running demo, and people who ask about it over HTTP.

People are named by role and site: `investigator`, `site@rome`, `coordinator`, `coordinator@milan`.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import httpx

from infra.exchange.fact import read
from infra.exchange.line import Line
from infra.issuer import Issuer
from infra.reference.study import subject
from shared.contracts.catalogue import STREAMS
from shared.contracts.schemas import HERE, golden_path
from shared.contracts.study import Opened
from shared.kernel.clock import Clock
from shared.kernel.fact import Corrected, Fact, Stream, content
from shared.kernel.sealed import revealed, texts
from shared.testing import facts
from shared.testing import followup_facts as followup
from shared.testing import toxicity_facts as toxicity
from tests.demo import Demo

PATIENCE = 30.0  # seconds until a promise counts as broken
WIDE = ("investigator", "coordinator", "monitor", "auditor", "reader")
SITES = ("rome", "milan")
STAFF = tuple(f"{role}@{site}" for site in SITES for role in ("site", "coordinator"))
EVERYBODY = ("administrator", *WIDE, *STAFF)
WHOLE = {"investigator", "monitor", "auditor", "coordinator"}
"""Who sees the participants of every site."""
SITE = "site@rome"


def service_of(fact: Fact) -> str:
    """The service that takes the fact: a correction's is that of what it restates, a bare void's enrollment."""
    kind = type(content(fact))
    return next((stream.service for stream in STREAMS if kind in stream.facts.values()), "enrollment")


def _is_on_its_way(answer: httpx.Response) -> bool:
    return answer.status_code == 409 and answer.json()["type"] == "/problems/not-known-yet"


def body(fact: Fact) -> dict[str, Any]:
    """The fact as a site sends it: sealed texts in the clear."""
    stated: dict[str, Any] = revealed(fact.model_dump(mode="json", exclude_unset=True), dict(texts(fact)))
    return {"replacement": None, **stated} if isinstance(fact, Corrected) else stated


def entry(fact: Fact) -> dict[str, Any]:
    """The fact as a batch holds it."""
    return {"type": fact.type_name, "data": body(fact)}


def published(stream: Stream, kind: type[Fact]) -> Fact:
    """The example that the fact's contract was published with; a word stands for a text that it cannot be without."""
    path = HERE / golden_path(stream.service, kind.type_name, kind.schema_version)
    person = "" if stream.subject == "study" else "somebody"
    return read(Line(1, kind.type_name, stream.service, json.loads(path.read_text("utf-8")), person, version=1))


DECLARED = [(stream, kind) for stream in STREAMS for kind in stream.declared.values() if kind is not Opened]
"""Every fact that may be stated in a study that is there, but the correction."""
UNREMARKABLE: tuple[Fact, ...] = (
    facts.amended(9, facts.protocol()), facts.site_activated("paris"), facts.site_closed("milan", 900),
    facts.granted("somebody", "monitor"), facts.revoked("nobody", "monitor"), facts.accrual_closed(900),
    facts.study_closed(900), facts.cut_taken(), facts.screened(), facts.screen_failed(), facts.consented(),
    facts.enrolled(), facts.baseline(), facts.withdrawn(), facts.transferred("milan", 5), facts.voided(),
    facts.lesion("L9"), facts.procedure(), facts.course(0, "RT9", index=False), facts.changed(),
    facts.completed(), facts.discontinued(), facts.line(), facts.line_stopped(),
    toxicity.assessed(0, toxicity.finding()), toxicity.serious(), toxicity.serious_updated(),
    toxicity.serious_resolved(), followup.contact(40), followup.missed(90), followup.progressed(40, "L1"),
    followup.alive(50), followup.died(60), followup.lost(70), followup.resumed(80), followup.explained(),
    followup.snoozed(), followup.acknowledged(),
)  # fmt: skip
SAID = {fact.type_name: body(fact) for fact in (*(published(*each) for each in DECLARED), *UNREMARKABLE)}
"""One of each of them as it is sent: what is unremarkable here, or else the published example."""


def of_site(site: str) -> set[str]:
    return {f"site@{site}", f"coordinator@{site}"}


def role_and_site(who: str) -> tuple[str, str | None]:
    role, _, site = who.partition("@")
    return role, site or None


@dataclass
class OwnStudy:
    """`events` is what was recorded through it, `others` counts what was published past it."""

    demo: Demo
    http: httpx.Client
    study_id: str = field(default_factory=lambda: f"own-{secrets.token_hex(6)}")
    events: set[str] = field(default_factory=set)
    others: int = 0

    @property
    def facts(self) -> int:
        """The position that analytics will reach."""
        return len(self.events) + self.others

    def __post_init__(self) -> None:
        self._issuer = Issuer.load(self.demo.data / "issuer")

    def address(self, path: str = "", service: str = "enrollment") -> str:
        return f"/{service}/v1/studies/{self.study_id}{'/' if path else ''}{path}"

    def bearer(self, who: str, ago: timedelta = timedelta()) -> dict[str, str]:
        """The header that says who asks, with a token that was issued so long ago."""
        name = subject(self.study_id, *role_and_site(who))
        return {"Authorization": f"Bearer {self._issuer.token(name, now=Clock().now() - ago)}"}

    def get(self, path: str = "", who: str = SITE, **params: Any) -> httpx.Response:
        """Of enrollment."""
        return self.of("enrollment", path, who, **params)

    def of(self, service: str, path: str, who: str = SITE, **params: Any) -> httpx.Response:
        return self.http.get(self.address(path, service), params=params, headers=self.bearer(who))

    def read(self, path: str, who: str = "investigator", **params: Any) -> httpx.Response:
        """Of analytics."""
        return self.of("analytics", path, who, **params)

    def figure(self, name: str, who: str = "investigator", **params: Any) -> dict[str, Any]:
        answer = self.read(f"figures/{name}.json", who, **params)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def post(
        self, path: str, said: Any, who: str = SITE, service: str = "enrollment", **headers: str
    ) -> httpx.Response:
        return self.send(self.address(path, service), said, who, **headers)

    def send(self, address: str, said: Any, who: str = SITE, **headers: str) -> httpx.Response:
        """As JSON; `headers` with underscores for hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.http.post(address, json=said, headers={**self.bearer(who), **named})
        if answer.status_code == 201:
            self.events.update(answer.json().get("event_ids", [answer.json()["event_id"]]))
        return answer

    def of_study(self, fact: Fact, who: str = "administrator") -> httpx.Response:
        return self.post(f"facts/{fact.type_name}", body(fact), who)

    def state(self, number: str, fact: Fact, who: str = SITE, **headers: str) -> httpx.Response:
        """To the service that takes such a fact, once it knows whom it is about."""
        service = service_of(fact)
        path = self.address(f"participants/{number}/facts/{fact.type_name}", service)
        end = time.monotonic() + PATIENCE
        answer = self.send(path, body(fact), who, **headers)
        while service != "enrollment" and _is_on_its_way(answer) and time.monotonic() < end:
            time.sleep(0.02)
            answer = self.send(path, body(fact), who, **headers)
        return answer

    def participant(self, *stated: Fact, who: str = SITE) -> str:
        """The number of a new participant about whom this was stated at once."""
        answer = self.post("participants", {"facts": [entry(fact) for fact in stated]}, who)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["participant_id"])

    def at_site(self, site: str, *more: Fact, **screening: Any) -> str:
        """The number of somebody enrolled at that site."""
        first = (facts.screened(site_id=site, **screening), facts.consented(), facts.enrolled())
        return self.participant(*first, *more, who=f"site@{site}")

    def known_everywhere(self, number: str) -> str:
        """The number again, when toxicity and follow-up know all that enrollment knows of the participant and study."""
        version = self.get(f"participants/{number}", "investigator").json()["version"]
        for service in ("toxicity", "followup"):
            waiting_for(partial(self._knows, service, number, version), f"{service} knows {number}")
        self.position()
        return number

    def _knows(self, service: str, number: str, version: int) -> bool:
        answer = self.of(service, f"participants/{number}", "investigator")
        return answer.status_code == 200 and int(answer.json()["enrollment_version"]) >= version

    def position(self) -> int:
        """How far analytics is, once it knows everything that was recorded here."""
        return reached(self, self.facts)


def reached(study: OwnStudy, position: int) -> int:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        answer = study.read("position", "administrator")
        if answer.status_code == 200 and answer.json()["position"] >= position:
            return int(answer.json()["position"])
        time.sleep(0.02)
    raise AssertionError(f"analytics did not reach position {position} of {study.study_id}: {answer.text}")


def waiting_for(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"it did not come true that {what}")
        time.sleep(0.02)


def opening(study_id: str, **protocol: Any) -> dict[str, Any]:
    return {"study_id": study_id, **body(facts.opened(facts.protocol(**protocol)))}


@contextmanager
def own_study(demo: Demo, **protocol: Any) -> Iterator[OwnStudy]:
    """Opened, with two sites and somebody in every role."""
    with httpx.Client(base_url=demo.url, timeout=PATIENCE, trust_env=False) as http:
        study = OwnStudy(demo, http)
        said: Mapping[str, Any] = opening(study.study_id, **protocol)
        opened = http.post("/enrollment/v1/studies", json=said, headers=study.bearer("administrator"))
        assert opened.status_code == 201, opened.text
        study.events.update(opened.json()["event_ids"])
        for site in SITES:
            assert study.of_study(facts.site_activated(site)).status_code == 201
        for who in (*WIDE, *STAFF):
            role, at = role_and_site(who)
            assert study.of_study(facts.granted(subject(study.study_id, role, at), role, at)).status_code == 201
        yield study


def alike(one: httpx.Response, other: httpx.Response) -> bool:
    """Nothing tells the two answers apart but the time that they were made at."""
    shown = [[(name, value) for name, value in each.headers.raw if name.lower() != b"date"] for each in (one, other)]
    return (one.status_code, one.content, shown[0]) == (other.status_code, other.content, shown[1])


def event_of(study: OwnStudy, number: str, type_name: str, service: str = "enrollment", who: str = SITE) -> str:
    events = study.of(service, f"participants/{number}/history", who).json()["events"]
    return next(str(event["event_id"]) for event in events if event["type"] == type_name)


def environment(demo: Demo) -> dict[str, str]:
    settings: dict[str, str] = json.loads((demo.data / "state.json").read_text())["environment"]
    return settings
