"""Whom a ref names, as far as no service is asked: participants whom imports of an earlier version registered."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest

from infra.exchange.fact import canonical, stated
from infra.exchange.line import Line, Wrong
from infra.exchange.order import Said
from infra.exchange.registration import Found, Registered, Registration, body_of, legacy_screening_id
from infra.exchange.study import Study
from infra.reference.load import StudyApi
from shared.kernel.fact import Fact
from shared.testing import facts

NUMBER = "K7F2-9QXA-3"
FIRST, CHANGED = facts.screened(birth_year=1950), facts.screened(birth_year=1951)


def found(screening: Fact, *contents: Fact, ref: str = "r82", event: str | None = None) -> Found:
    """Ask for a ref where an earlier version registered somebody under r82, with nobody to answer requests."""
    site = str(stated(contents[0])["site_id"])
    legacy = event or legacy_screening_id("acme", site, "r82", canonical(contents[0]))
    known = [Registered(NUMBER, legacy, site, tuple(map(canonical, contents)))]
    line = Line(2, screening.type_name, "enrollment", {}, ref, True)

    async def ask() -> Found:
        async with httpx.AsyncClient(base_url="http://127.0.0.1:1") as nobody:
            study = Study(StudyApi(nobody, "acme", lambda _role, _site: "", attempts=1))
            return await Registration(study, False, known).find(ref, Said(line, screening))

    return asyncio.run(ask())


def test_who_was_registered_by_an_earlier_version_is_recognized() -> None:
    assert found(FIRST, FIRST) == Found(NUMBER, is_new=False)


def test_a_screening_that_was_corrected_since_is_recognized_in_both_wordings() -> None:
    assert found(CHANGED, FIRST, CHANGED) == found(FIRST, FIRST, CHANGED) == Found(NUMBER, is_new=False)


def test_a_ref_of_an_earlier_version_is_not_used_for_another_screening() -> None:
    with pytest.raises(Wrong) as wrong:
        found(CHANGED, FIRST)
    assert [(fault.code, fault.pointer) for fault in wrong.value.faults] == [("ref-used-before", "/ref")]
    assert re.search("ref r82 .* another ref", wrong.value.faults[0].message)


@pytest.mark.parametrize("asked", [{"ref": "r83"}, {"event": "018e18a2-5c00-7a01-8b3c-0123456789ab"}])
def test_another_ref_is_left_to_the_service(asked: dict[str, Any]) -> None:
    with pytest.raises(httpx.ConnectError):
        found(FIRST, FIRST, **asked)


def test_a_screening_is_sent_alike_whether_the_file_writes_nulls_or_leaves_them_out() -> None:
    content = stated(FIRST)
    without = {name: value for name, value in content.items() if value is not None}
    assert content["local_reference"] is None
    assert body_of(type(FIRST).model_validate(content)) == body_of(type(FIRST).model_validate(without))
    with_text = facts.screened(local_reference="MRN 7")
    assert body_of(with_text)["local_reference"] == "MRN 7"
