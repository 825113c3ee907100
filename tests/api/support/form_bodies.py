"""Bodies of forms as no browser would send them, with the right token from the right origin."""

from __future__ import annotations

import time
from collections.abc import Sequence
from urllib.parse import urlencode

import httpx

from shared.contracts.catalogue import FOLLOWUP, PARTICIPANT, TOXICITY
from shared.kernel.fact import Fact, Stream
from shared.ui.forms.fields import fact_fields
from shared.ui.forms.writing import write_fields
from shared.web.cookies import Cookies
from tests.api.support.form_browser import FormBrowser, pages_of
from tests.api.support.study import EXAMPLE_BODIES, StudyUnderTest

Pairs = Sequence[tuple[str, str]]
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
STREAM_BY_SERVICE: dict[str, Stream] = {"enrollment": PARTICIPANT, "toxicity": TOXICITY, "followup": FOLLOWUP}
FACTS = [
    (service, kind)
    for service, stream in STREAM_BY_SERVICE.items()
    for kind in stream.declared_facts.values()
    if kind.type_name != "participant.screened"
]


def versions(study: StudyUnderTest, participant_id: str) -> dict[str, int]:
    """Returns the version of a participant in every service: it grows with each fact."""
    services = STREAM_BY_SERVICE
    rows = {name: study.get_from(name, f"participants/{participant_id}", "investigator").json() for name in services}
    return {name: row["version"] for name, row in rows.items()}


def token_of(browser: FormBrowser, study: StudyUnderTest) -> str:
    """Returns the token of the browser's forms, which the first form sets."""
    name = Cookies(plain_http=True, port=study.demo.port).name("form")
    if name not in browser.http.cookies:
        browser.open(f"{pages_of(study)}/participants/find")
    return str(browser.http.cookies[name])


def send(
    browser: FormBrowser, study: StudyUnderTest, address: str, pairs: Pairs, button: str = "record", **headers: str
) -> httpx.Response:
    own = [("form:csrf", token_of(browser, study)), ("form:key", f"attack-{time.monotonic_ns()}")]
    names = {name for name, _ in pairs}
    content = urlencode([*(pair for pair in own if pair[0] not in names), *pairs, (button, "1")])
    return browser.http.post(address, content=content, headers={**FORM, **headers})


def example_pairs(kind: type[Fact]) -> list[tuple[str, str]]:
    return list(write_fields(fact_fields(kind), EXAMPLE_BODIES.get(kind.type_name, {})))
