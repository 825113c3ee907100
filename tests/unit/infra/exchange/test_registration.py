"""A ref finds participants that earlier imports registered, without a request to a service."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest

from infra.client.study_client import StudyClient
from infra.exchange.fact_conversion import canonical_content, stated_content
from infra.exchange.import_line import ImportLine, InvalidLine
from infra.exchange.registration import (
    RefMatch,
    RegisteredParticipant,
    Registration,
    legacy_screening_id,
    screening_body,
)
from infra.exchange.statement_order import ImportFact
from infra.exchange.target_study import TargetStudy
from shared.kernel.fact import Fact
from shared.testing.builders import facts

NUMBER = "K7F2-9QXA-3"
FIRST, CHANGED = facts.participant_screened(birth_year=1950), facts.participant_screened(birth_year=1951)


def find_registration(screening: Fact, *contents: Fact, ref: str = "r82", event: str | None = None) -> RefMatch:
    """Looks up a ref, without a server, where an earlier version registered a participant as r82."""
    site = str(stated_content(contents[0])["site_id"])
    legacy = event or legacy_screening_id("acme", site, "r82", canonical_content(contents[0]))
    registered = [RegisteredParticipant(NUMBER, legacy, site, tuple(map(canonical_content, contents)))]
    line = ImportLine(2, screening.type_name, "enrollment", {}, ref, True)

    async def ask() -> RefMatch:
        async with httpx.AsyncClient(base_url="http://127.0.0.1:1") as nobody:
            study = TargetStudy(StudyClient(nobody, "acme", lambda _role, _site: "", attempts=1))
            return await Registration(study, False, registered).find(ref, ImportFact(line, screening))

    return asyncio.run(ask())


def test_participant_registered_by_an_earlier_version_is_recognized() -> None:
    assert find_registration(FIRST, FIRST) == RefMatch(NUMBER, is_new=False)


def test_corrected_screening_is_recognized_by_old_and_new_content() -> None:
    assert (
        find_registration(CHANGED, FIRST, CHANGED)
        == find_registration(FIRST, FIRST, CHANGED)
        == RefMatch(NUMBER, is_new=False)
    )


def test_ref_of_an_earlier_import_cannot_be_reused() -> None:
    with pytest.raises(InvalidLine) as wrong:
        find_registration(CHANGED, FIRST)
    assert [(fault.code, fault.pointer) for fault in wrong.value.faults] == [("ref-used-before", "/ref")]
    assert re.search("ref r82 .* another ref", wrong.value.faults[0].message)


@pytest.mark.parametrize("arguments", [{"ref": "r83"}, {"event": "018e18a2-5c00-7a01-8b3c-0123456789ab"}])
def test_unknown_ref_is_decided_by_the_service(arguments: dict[str, Any]) -> None:
    with pytest.raises(httpx.ConnectError):
        find_registration(FIRST, FIRST, **arguments)


def test_nulls_and_absent_members_give_the_same_request() -> None:
    content = stated_content(FIRST)
    without = {name: value for name, value in content.items() if value is not None}
    assert content["local_reference"] is None
    assert screening_body(type(FIRST).model_validate(content)) == screening_body(type(FIRST).model_validate(without))
    with_text = facts.participant_screened(local_reference="MRN 7")
    assert screening_body(with_text)["local_reference"] == "MRN 7"
