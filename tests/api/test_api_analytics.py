"""Analytics' interface as it is documented, row by row, for whoever writes a program against it."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest

from shared.testing import facts
from tests.api.own_study import PATIENCE, SITES, OwnStudy, event_of, own_study
from tests.demo import Demo

FIGURES = ("flow", "accrual", "treatments")
FORBIDDEN = ("script", "foreignObject", "iframe", "image", "animate", "set")


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[OwnStudy]:
    """Seven at Rome, of whom one had stereotactic radiotherapy; one at Milan, enrolled in a month."""
    with own_study(demo) as opened:
        for place in range(6):
            opened.at_site("rome", facts.course(7), sex="male" if place else "female")
        ablation = facts.target("T1", "L1", fractions=1, each=2000, delivery="SRS")
        opened.at_site("rome", facts.lesion(), facts.course(7, "RT1", ablation), facts.completed(7))
        first = (facts.screened(site_id="milan"), facts.consented(), facts.enrolled("2024-02"))
        opened.participant(*first, who="site@milan")
        opened.position()
        yield opened


def test_the_position_is_the_number_of_facts(study: OwnStudy) -> None:
    said = study.read("position").json()
    assert set(said) == {"position", "epoch", "recorded_at"}
    assert said["position"] == study.facts
    assert UUID(said["epoch"])
    assert datetime.fromisoformat(said["recorded_at"]).utcoffset() == timedelta(0)


def test_the_list_names_figures_and_their_parameters(study: OwnStudy) -> None:
    said = study.read("figures", "reader").json()
    assert tuple(row["name"] for row in said["rows"]) == FIGURES
    assert all(row["title"] for row in said["rows"])
    assert {"cut", "at", "as_of", "site", "subset", "by"} <= set(said["parameters"])


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_says_what_it_is_of(study: OwnStudy, name: str) -> None:
    said = study.figure(name, cut="2024-12-31")
    assert {key: said[key] for key in ("figure", "study_id", "position", "cut", "left_out")} == {
        "figure": name, "study_id": study.study_id, "position": study.facts, "cut": "2024-12-31", "left_out": 0
    }  # fmt: skip
    assert said["recorded_at"] == study.read("position").json()["recorded_at"].replace("Z", "+00:00")
    assert said["parameters"]["subset"] == "all"
    assert said["imputed_dates"] == {"flow": 1, "accrual": 1, "treatments": 0}[name]


def test_the_flow_counts_everybody_once(study: OwnStudy) -> None:
    said = study.figure("flow")
    counts = {name: said[name] for name in ("screened", "screen_failed", "consented", "enrolled", "treated")}
    assert counts == {"screened": 8, "screen_failed": 0, "consented": 8, "enrolled": 8, "treated": 7}
    assert (said["stereotactic"], said["stereotactic_percent"], said["stereotactic_interval"]) == (1, 12.5, [0.3, 52.7])
    standings = ("in_follow_up", "awaiting_treatment", "completed", "died", "withdrawn", "lost")
    assert sum(said[name] for name in standings) == 8
    assert said["awaiting_treatment"] == 1


def test_a_figure_is_narrowed_by_site_and_subset_and_divided(study: OwnStudy) -> None:
    assert study.figure("flow", site="milan")["enrolled"] == 1
    assert study.figure("flow", subset="stereotactic")["enrolled"] == 1
    assert study.figure("accrual")["groups"][0]["name"] == "all"
    for by, groups in (("site", {"rome": 7, "milan": 1}), ("sex", {"female": 3, "male": 5}),
                       ("subset", {"stereotactic": 1, "other": 7})):  # fmt: skip
        said = study.figure("accrual", by=by)
        assert {group["name"]: group["enrolled"] for group in said["groups"]} == groups
        assert said["parameters"]["by"] == by


def test_a_reader_gets_no_small_cell_of_a_subset_in_any_form(study: OwnStudy) -> None:
    for name in ("flow", "accrual"):
        said = study.figure(name, "reader", subset="stereotactic")
        assert said["withheld_below"] == 5
        assert {said.get("enrolled"), said.get("screened")} == {None}
        assert all(group["curve"] == [] for group in said.get("groups", []))
        for kind in ("csv", "svg"):
            assert study.read(f"figures/{name}.{kind}", "reader", subset="stereotactic").status_code == 403
    assert study.figure("flow", "reader")["enrolled"] == 8


def test_treatments_are_one_row_for_every_target(study: OwnStudy) -> None:
    said = study.figure("treatments")
    assert len(said["targets"]) == 7
    (ablation,) = [row for row in said["targets"] if row["delivery"] == "SRS"]
    doses = {"fractions": 1, "dose_per_fraction_gy": 20.0, "total_dose_gy": 20.0, "bed_10": 60.0, "eqd2_10": 50.0}
    assert {name: ablation[name] for name in doses} == doses
    assert {"participant_id", "course_id", "target_id", "bed_3", "eqd2_3"} <= set(ablation)


@pytest.mark.parametrize("kind", ["json", "csv", "svg"])
def test_a_file_is_kept_under_a_name_that_says_what_it_shows(study: OwnStudy, kind: str) -> None:
    answer = study.read(f"figures/accrual.{kind}", by="site", cut="2024-06-30", at="5")
    name = f"{study.study_id}_accrual_by-site_cut-2024-06-30_position-5.{kind}"
    assert answer.headers["content-disposition"] == f'inline; filename="{name}"'


def rows_of(study: OwnStudy, name: str, **asked: Any) -> list[dict[str, str]]:
    answer = study.read(f"figures/{name}.csv", **asked)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_a_table_says_what_the_numbers_say(study: OwnStudy) -> None:
    flow, table = study.figure("flow"), rows_of(study, "flow")
    counts = [flow[name] for name in ("screened", "screen_failed", "consented", "enrolled", "treated", "stereotactic")]
    assert [int(row["Participants"]) for row in table][:6] == counts
    assert table[5]["Percent of enrolled"] == "12.5"
    accrual = study.figure("accrual", by="site")
    steps = [(group["name"], step["on"], step["cumulative"]) for group in accrual["groups"] for step in group["curve"]]
    assert [
        (row["Group"], row["Date"], int(row["Cumulative"])) for row in rows_of(study, "accrual", by="site")
    ] == steps
    targets = study.figure("treatments")["targets"]
    for row, target in zip(rows_of(study, "treatments"), targets, strict=True):
        assert (row["participant_id"], row["delivery"]) == (target["participant_id"], target["delivery"])
        assert [float(row[name]) for name in ("total_dose_gy", "bed_10", "eqd2_3")] == [
            target[name] for name in ("total_dose_gy", "bed_10", "eqd2_3")
        ]


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("asked", [{}, {"at": "0"}, {"cut": "1900-01-01"}])
def test_a_picture_is_xml_without_script(study: OwnStudy, name: str, asked: dict[str, str]) -> None:
    answer = study.read(f"figures/{name}.svg", **asked)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
    picture = ElementTree.fromstring(answer.content)  # noqa: S314 - our own answer
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    for part in picture.iter():
        assert part.tag.rpartition("}")[2] not in FORBIDDEN
        assert not [attribute for attribute in part.attrib if attribute.lower().startswith("on") or "href" in attribute]


def test_a_cut_counts_up_to_and_on_its_day(study: OwnStudy) -> None:
    for cut, treated in ((facts.day(6), 0), (facts.day(7), 7)):
        assert study.figure("flow", cut=cut)["treated"] == treated
    rome, days = ZoneInfo("Europe/Rome"), [datetime.now(UTC)]
    shown = study.figure("flow")["cut"]
    assert shown in {day.astimezone(rome).date().isoformat() for day in [*days, datetime.now(UTC)]}


def test_a_cut_of_a_day_to_come_is_refused(study: OwnStudy) -> None:
    for day in ("2100-12-31", (datetime.now(UTC) + timedelta(days=2)).date().isoformat()):
        answer = study.read("figures/flow.json", cut=day)
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/parameter")
        assert day not in answer.text


def test_the_past_is_shown_as_it_was(demo: Demo) -> None:
    with own_study(demo) as study:
        study.at_site("rome")
        before = study.position()
        time.sleep(0.002)  # the clock of the next fact is later by more than its resolution
        study.at_site("rome")
        study.position()
        when = study.read("position").json()["recorded_at"]
        assert study.figure("flow")["enrolled"] == 2
        past = study.figure("flow", at=before)
        assert (past["enrolled"], past["position"]) == (1, before)
        moment = datetime.fromisoformat(past["recorded_at"])
        berlin = moment.astimezone(datetime.strptime("+0100", "%z").tzinfo)
        for text in (moment.isoformat(), moment.isoformat().replace("+00:00", "Z"), berlin.isoformat()):
            assert study.figure("flow", as_of=text)["enrolled"] == 1, text
        unescaped = study.http.get(
            f"{study.address('figures/flow.json', 'analytics')}?as_of={berlin.isoformat()}",
            headers=study.bearer("reader"),
        )
        assert unescaped.json()["enrolled"] == 1
        assert study.figure("flow", as_of=when)["enrolled"] == 2
        assert study.figure("flow", as_of="1970-01-01T00:00:00Z")["position"] == 0
        assert study.figure("flow", as_of="2999-01-01T00:00:00Z")["enrolled"] == 2
        assert study.figure("flow", at=0)["recorded_at"] is None


def test_a_time_or_position_that_is_none_is_refused(study: OwnStudy) -> None:
    for wrong in ("2025-01-01", "2025-01-01T00:00:00", "0", "1735689600", "now", "9999-12-31T23:59:59-14:00"):
        assert study.read("figures/flow.json", as_of=wrong).status_code == 422, wrong
    for position in (study.facts + 1, -1, "1.5", "x", "cut:", "cut:a b", "9" * 16, "٣"):
        assert study.read("figures/flow.json", at=position).status_code == 422, position
    assert study.read("figures/flow.json", at=1, as_of="2025-01-01T00:00:00Z").status_code == 422
    assert study.read("figures/flow.json", at="cut:never").status_code == 404
    assert study.read("figures/flow.json", epoch="00000000-0000-0000-0000-000000000000").status_code == 410
    assert study.read("figures/flow.json", at=1, epoch=study.read("position").json()["epoch"]).status_code == 200
    for unknown in ("flow.pdf", "flow", "nothing.json", "flow.json.csv", "FLOW.json"):
        assert study.read(f"figures/{unknown}").status_code == 404


def test_a_named_cut_freezes_position_and_day(demo: Demo) -> None:
    with own_study(demo) as study:
        study.at_site("rome", facts.course(3))
        study.position()  # between a participant and the study no order is promised: the cut counts what is there
        assert study.of_study(facts.cut_taken("interim", 2), "investigator").status_code == 201
        taken = study.position()
        study.at_site("rome")
        study.position()
        frozen = study.figure("flow", at="cut:interim")
        assert (frozen["position"], frozen["cut"], frozen["enrolled"], frozen["treated"]) == (taken, facts.day(2), 1, 0)
        assert study.figure("flow", at="cut:interim", cut=facts.day(9))["treated"] == 1
        again = study.of_study(facts.cut_taken("interim", 5), "investigator")
        assert again.status_code == 422


def test_a_corrected_date_moves_the_figure_and_not_the_past(demo: Demo) -> None:
    with own_study(demo) as study:
        number = study.at_site("rome")
        before = study.position()
        enrolment = UUID(event_of(study, number, "participant.enrolled"))
        assert study.state(number, facts.correction(enrolment, facts.enrolled(5))).status_code == 201
        study.position()
        curve = [{"on": facts.day(5), "cumulative": 1}]
        assert study.figure("accrual")["groups"][0]["curve"] == curve
        assert study.figure("accrual", at=before)["groups"][0]["curve"] == [{"on": facts.day(0), "cumulative": 1}]
        assert study.state(number, facts.correction(enrolment, None)).status_code == 201
        study.position()
        assert study.figure("flow")["enrolled"] == 0
        assert study.state(number, facts.correction(enrolment, facts.enrolled(5))).status_code == 201
        study.position()
        assert study.figure("accrual")["groups"][0]["curve"] == curve


@pytest.mark.parametrize(
    "leaves", [facts.voided(), facts.withdrawn(9, "data_use")], ids=["voided", "data use withdrawn"]
)
def test_who_may_not_be_used_leaves_every_figure_of_the_past_too(demo: Demo, leaves: Any) -> None:
    with own_study(demo) as study:
        number = study.at_site("rome", facts.course(3))
        study.at_site("rome")
        before = study.position()
        event = study.state(number, leaves).json()["event_id"]
        study.position()
        pasts: tuple[dict[str, Any], ...] = ({}, {"at": before})
        for asked in pasts:
            said = study.figure("flow", **asked)
            assert (said["screened"], said["enrolled"], said["left_out"]) == (1, 1, 1)
            assert study.figure("treatments", **asked)["targets"] == []
            assert "1 participant excluded" in study.read("figures/flow.svg", **asked).text
        assert study.state(number, facts.correction(UUID(event), None)).status_code == 201
        study.position()
        assert (study.figure("flow")["enrolled"], study.figure("flow", at=before)["left_out"]) == (2, 0)


def test_who_withdraws_from_follow_up_stays_in_the_figures(demo: Demo) -> None:
    with own_study(demo) as study:
        study.state(study.at_site("rome"), facts.withdrawn(9))
        study.position()
        said = study.figure("flow")
        assert (said["enrolled"], said["withdrawn"], said["left_out"]) == (1, 1, 0)
        assert study.figure("flow", cut=facts.day(8))["withdrawn"] == 0


def test_readers_do_not_see_small_cells(study: OwnStudy) -> None:
    by_site = {group["name"]: group for group in study.figure("accrual", "reader", by="site")["groups"]}
    assert by_site["rome"]["enrolled"] == 7
    assert (by_site["milan"]["enrolled"], by_site["milan"]["curve"]) == (None, [])
    milan = study.figure("flow", "reader", site="milan")
    assert (milan["enrolled"], milan["screen_failed"], milan["withheld_below"]) == (None, 0, 5)
    assert "withheld_below" not in study.figure("flow", "reader")
    assert "withheld_below" not in study.figure("accrual", "investigator", by="site")
    for kind in ("csv", "svg"):
        assert study.read(f"figures/flow.{kind}", "reader").status_code == 200
        for name, asked in (("flow", {"site": "milan"}), ("accrual", {"by": "site"}), ("accrual", {"site": "milan"})):
            assert study.read(f"figures/{name}.{kind}", "reader", **asked).status_code == 403
    assert study.read("figures/treatments.json", "reader").status_code == 403


def test_a_site_sees_its_own_counts(study: OwnStudy) -> None:
    for site, enrolled in zip(SITES, (7, 1), strict=True):
        for who in (f"site@{site}", f"coordinator@{site}"):
            assert study.figure("flow", who)["enrolled"] == enrolled
            assert study.figure("flow", who)["parameters"]["site"] == site
            treated = study.figure("treatments", who)
            assert treated["parameters"]["followed_at"] == site
            assert f"followed at {site};" in study.read("figures/treatments.svg", who).text
            assert {group["name"] for group in study.figure("accrual", who, by="site")["groups"]} == {site}
    assert "followed_at" not in study.figure("treatments")["parameters"]


def test_a_change_is_told_with_the_position_at_which_it_can_be_read(demo: Demo) -> None:
    with own_study(demo) as study:
        start = study.position()
        live = study.address("live", "analytics")
        with study.http.stream("GET", live, headers=study.bearer("reader")) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = answer.iter_lines()
            assert next(lines) == "retry: 2000"
            told = study.of_study(facts.site_activated("paris"))
            assert told.status_code == 201
            end = time.monotonic() + PATIENCE
            while f"data: {start + 1}" != next(lines):
                assert time.monotonic() < end
        assert study.figure("flow", at=start + 1)["position"] == start + 1
