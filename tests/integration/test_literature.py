"""The literature beside a study over HTTP: who reads it, at which position, and that no figure or seal has it."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.analytics.figures.registry import FIGURES
from shared.testing.builders import facts
from shared.testing.builders.follow_up_facts import follow_up_recorded, participant_died
from tests.conftest import Database
from tests.integration.support.analytics_app import SITE_USERS, STUDY_WIDE_ROLES, AnalyticsStudy, open_analytics_study
from tests.integration.support.sealing import due_cuts, open_sealer, seal_cuts, take_sealed_cut

CUT_ON = "2024-12-31"
TREATED = (
    facts.consent_signed(),
    facts.participant_enrolled(),
    facts.baseline_recorded(),
    facts.radiotherapy_started(7),
    facts.radiotherapy_completed(),
    follow_up_recorded(100),
)
LEE = facts.literature_recorded("LEE2022", n=12, median_os=14.5, os_unit="weeks", os_anchor="diagnosis", os_1y_pct=20)
BLOMAIN = facts.literature_recorded("BLOM2022", first_author="Blomain E", doi_or_pmid="10.1089/thy.2021.0628; PMID 1")


@pytest.fixture
async def study(analytics_database: Database, tmp_path: Path, study_id: str) -> AsyncIterator[AnalyticsStudy]:
    """A study with three treated participants at each of two sites, of whom one at each has died."""
    async with open_analytics_study(analytics_database, tmp_path, study_id) as study:
        for site in ("rome", "milan"):
            for deaths in ((), (), (participant_died(200),)):
                await study.add_participant(site, facts.participant_screened(site_id=site), *TREATED, *deaths)
        yield study


async def state(study: AnalyticsStudy, *published: Any) -> None:
    await study.project([study.study.record(fact) for fact in published])


async def read(study: AnalyticsStudy, user: str = "investigator", **params: Any) -> dict[str, Any]:
    answer = await study.get("literature.json", user, **params)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def recorded(answer: dict[str, Any]) -> list[tuple[str, int | None]]:
    return [(row["recorded"]["ref_id"], row["recorded"]["n"]) for row in answer["publications"]]


async def live_figures(study: AnalyticsStudy) -> dict[str, dict[str, Any]]:
    """Returns the numbers of every figure without the position and the time that a fact of any kind moves."""
    answers = {name: (await study.get(f"figures/{name}.json")).json() for name in FIGURES}
    for answer in answers.values():
        del answer["position"], answer["recorded_at"]
    return answers


async def test_later_entry_of_a_reference_replaces_the_earlier_and_the_past_keeps_it(study: AnalyticsStudy) -> None:
    await state(study, LEE, BLOMAIN)
    before = study.position
    await state(study, LEE.model_copy(update={"n": 13}))
    assert recorded(await read(study)) == [("LEE2022", 13), ("BLOM2022", None)]
    assert recorded(await read(study, at=str(before))) == [("LEE2022", 12), ("BLOM2022", None)]
    assert recorded(await read(study, at=str(before - 2))) == []


async def test_literature_changes_no_number_of_any_figure(study: AnalyticsStudy) -> None:
    before = await live_figures(study)
    await state(study, LEE, BLOMAIN)
    assert await live_figures(study) == before


async def test_seal_has_the_same_bytes_before_and_after_literature(study: AnalyticsStudy) -> None:
    await state(study, BLOMAIN, facts.cut_taken("interim", CUT_ON))
    (due,) = await due_cuts(study)
    before, files_before = await open_sealer(study).prepare(due)
    await state(study, LEE)
    after, files_after = await open_sealer(study).prepare(due)
    assert (before, files_before) == (after, files_after)
    assert not [file for file in files_after if b"Lee" in file.file.content or b"Blomain" in file.file.content]
    await seal_cuts(study)
    names = {"json", "csv", "svg"}
    sealed = {kind: (await study.get(f"figures/overall-survival.{kind}", at="cut:interim")).content for kind in names}
    stored = {
        file.file_format: file.file.content
        for file in files_before
        if file.figure == "overall-survival" and file.scope.site_id is None and file.file_format in names
        if "reader" not in str(file.scope)
    }
    assert sealed == stored


async def test_marks_are_drawn_at_request_on_the_curve_of_their_origin_and_never_sealed(study: AnalyticsStudy) -> None:
    await state(study, LEE, BLOMAIN)
    await take_sealed_cut(study, "interim", CUT_ON)
    path, marked = "figures/overall-survival.json", {"literature": "true", "origin": "diagnosed"}
    plain = (await study.get(path, origin="diagnosed")).json()
    answer = (await study.get(path, **marked)).json()
    assert [(mark["ref_id"], mark["measure"]) for mark in answer["literature"]] == [
        ("LEE2022", "median"),
        ("LEE2022", "one_year"),
    ]
    assert answer["parameters"].pop("literature") is True
    assert {name: value for name, value in answer.items() if name != "literature"} == plain
    assert (await study.get(path, literature="true")).json()["literature"] == []  # from the start of radiotherapy
    at_cut = (await study.get(path, at="cut:interim", **marked)).json()
    assert (at_cut["sealed"], len(at_cut["literature"])) == (False, 2)
    sealed, unmarked = [await study.get(path, at="cut:interim", **params) for params in ({}, {"literature": "false"})]
    assert (json.loads(sealed.content)["sealed"], sealed.content) == (True, unmarked.content)
    picture = await study.get("figures/overall-survival.svg", **marked)
    assert "From publications, not from this study:" in picture.text
    assert (await study.get("figures/flow.json", literature="true")).status_code == 422


@pytest.mark.parametrize("address", ["literature.json", "literature.csv", "page"])
async def test_every_member_but_readers_reads_the_literature_and_nobody_else(
    study: AnalyticsStudy, address: str
) -> None:
    await state(study, LEE)
    await take_sealed_cut(study, "interim", CUT_ON)
    read_address = study.get_page if address == "page" else study.get
    path = "literature" if address == "page" else address
    members = [user for user in (*STUDY_WIDE_ROLES, *SITE_USERS) if not user.startswith("reader")]
    answers = {user: await read_address(path, user) for user in members}
    assert {user: answer.status_code for user, answer in answers.items()} == dict.fromkeys(answers, 200)
    assert all("LEE2022" in answer.text for answer in answers.values())
    assert (await read_address(path, "stranger")).status_code == 404


async def test_own_numbers_are_those_of_the_figures_that_the_member_sees(study: AnalyticsStudy) -> None:
    await state(study, LEE)
    (whole, stereotactic) = (await read(study))["cohort"]
    (group,) = (await study.get("figures/overall-survival.json")).json()["groups"]
    assert (whole["participants"], whole["deaths"], whole["median"]) == (6, 2, group["median"])
    assert whole["one_year"] == {name: group["landmarks"][1][name] for name in ("estimate", "lower", "upper")}
    assert (stereotactic["subset"], stereotactic["participants"]) == ("stereotactic", 0)
    assert whole["severe_toxicity"]["events"] == 0
    at_rome = (await read(study, "site@rome"))["cohort"][0]
    assert (at_rome["site"], at_rome["participants"], at_rome["deaths"]) == ("rome", 3, 1)
    assert "of participants enrolled at rome" in (await study.get_page("literature", "site@rome")).text
    nobody = (await read(study, at="1"))["cohort"][0]
    assert (nobody["participants"], nobody["median"]["estimate"], nobody["one_year"]["estimate"]) == (0, None, None)
    assert (await study.get_page("literature", at="1")).status_code == 200


async def test_readers_are_refused_the_literature_at_every_address_and_see_no_link_to_it(study: AnalyticsStudy) -> None:
    await state(study, LEE)
    for cut in ("", "interim"):  # before anything is published, and afterwards
        if cut:
            await take_sealed_cut(study, cut, CUT_ON)
        params = {"at": f"cut:{cut}"} if cut else {}
        answers = [await study.get(f"literature.{kind}", "reader", **params) for kind in ("json", "csv")]
        page = await study.get_page("literature", "reader", **params)
        assert (page.status_code, "LEE2022" in page.text) == (403, False)
        assert {(answer.status_code, answer.json()["type"]) for answer in answers} == {
            (403, "/problems/readers-see-cuts")
        }
    for path in ("figures/overall-survival.json", "figures/overall-survival.svg"):
        marked = await study.get(path, "reader", literature="true")
        assert (marked.status_code, marked.json()["type"]) == (403, "/problems/readers-see-cuts")
    cohort = await study.http.get(f"/analytics/studies/{study.study_id}", headers=study.authorization("reader"))
    assert (cohort.status_code, "literature" in cohort.text.casefold()) == (200, False)


async def test_table_has_the_publications_as_they_were_recorded(study: AnalyticsStudy) -> None:
    await state(study, LEE.model_copy(update={"note": '=1+1 "quoted"'}), BLOMAIN)
    answer = await study.get("literature.csv")
    first, second = csv.DictReader(io.StringIO(answer.text))
    assert (first["ref_id"], first["n"], first["median_os"], first["dose"]) == ("LEE2022", "12", "14.5", "")
    assert first["note"] == '\'=1+1 "quoted"'
    assert second["doi_or_pmid"] == "10.1089/thy.2021.0628; PMID 1"


async def test_page_links_the_publications_and_the_curve_that_they_mark(study: AnalyticsStudy) -> None:
    empty = (await study.get_page("literature")).text
    assert "No publication is recorded beside this study" in empty
    script = facts.literature_recorded("X", doi_or_pmid='10.1000/a"onclick=x<b>', note="<script>alert(1)</script>")
    await state(study, LEE, BLOMAIN, script)
    page = (await study.get_page("literature")).text
    assert 'href="https://doi.org/10.1089/thy.2021.0628"' in page
    assert "<script>alert" not in page
    assert 'href="https://doi.org/10.1000/a%22onclick%3Dx%3Cb%3E"' in page
    (curve,) = re.findall(r'href="([^"]*/figures/overall-survival[?][^"]*literature=true[^"]*)"', page)
    response = await study.http.get(curve.replace("&amp;", "&"), headers=study.authorization("investigator"))
    assert "A  Lee NY 2022 (LEE2022): median 3.3 months" in response.text
    assert "Marked from publications, not from this study" in response.text
