"""The interface of analytics as it is documented, row by row, for authors of programs that use it."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from services.analytics.figures.registry import FIGURES
from shared.testing.builders import facts
from tests.api.support.study import SITES, TIMEOUT_SECONDS, StudyUnderTest, find_event_id, open_study
from tests.demo import Demo
from tests.svg import parse_svg

FORBIDDEN = ("script", "foreignObject", "iframe", "image", "animate", "set")


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    """A study with seven participants at Rome, one of them after stereotactic radiotherapy, and one at Milan."""
    with open_study(demo) as study:
        for index in range(6):
            study.enroll_at("rome", facts.radiotherapy_started(7), sex="male" if index else "female")
        ablation = facts.target("T1", "L1", fractions=1, cgy_per_fraction=2000, delivery="SRS")
        study.enroll_at(
            "rome",
            facts.lesion_registered(),
            facts.radiotherapy_started(7, "RT1", ablation),
            facts.radiotherapy_completed(7),
        )
        milan_facts = (
            facts.participant_screened(site_id="milan"),
            facts.consent_signed(),
            facts.participant_enrolled("2024-02"),
        )
        study.register(*milan_facts, user="site@milan")
        study.wait_for_analytics()
        yield study


def test_position_equals_the_number_of_recorded_facts(study: StudyUnderTest) -> None:
    document = study.get_analytics("position").json()
    assert set(document) == {"position", "epoch", "recorded_at"}
    assert document["position"] == study.expected_position
    assert UUID(document["epoch"])
    assert datetime.fromisoformat(document["recorded_at"]).utcoffset() == timedelta(0)


def test_figure_list_names_figures_and_parameters(study: StudyUnderTest) -> None:
    document = study.get_analytics("figures", "reader").json()
    assert [(row["name"], row["title"]) for row in document["rows"]] == [
        (name, figure.TITLE) for name, figure in FIGURES.items()
    ]
    assert {"cut", "at", "as_of", "site", "subset", "by"} <= set(document["parameters"])


@pytest.mark.parametrize("name", FIGURES)
def test_figure_states_study_position_cut_and_parameters(study: StudyUnderTest, name: str) -> None:
    figure = study.figure(name, cut="2024-12-31")
    assert {key: figure[key] for key in ("figure", "study_id", "position", "cut", "left_out")} == {
        "figure": name,
        "study_id": study.study_id,
        "position": study.expected_position,
        "cut": "2024-12-31",
        "left_out": 0,
    }
    assert figure["recorded_at"] == study.get_analytics("position").json()["recorded_at"].replace("Z", "+00:00")
    assert figure["parameters"]["subset"] == "all"


@pytest.mark.parametrize(("name", "imputed_dates"), [("flow", 1), ("accrual", 1), ("treatments", 0)])
def test_figure_counts_its_imputed_dates(study: StudyUnderTest, name: str, imputed_dates: int) -> None:
    assert study.figure(name)["imputed_dates"] == imputed_dates


def test_flow_counts_each_participant_once(study: StudyUnderTest) -> None:
    flow = study.figure("flow")
    counts = {name: flow[name] for name in ("screened", "screen_failed", "consented", "enrolled", "treated")}
    assert counts == {"screened": 8, "screen_failed": 0, "consented": 8, "enrolled": 8, "treated": 7}
    assert (flow["stereotactic"], flow["stereotactic_percent"], flow["stereotactic_interval"]) == (1, 12.5, [0.3, 52.7])
    statuses = ("in_follow_up", "awaiting_treatment", "completed", "died", "withdrawn", "lost")
    assert sum(flow[name] for name in statuses) == 8
    assert flow["awaiting_treatment"] == 1


def test_figure_can_be_filtered_by_site_and_subset_and_stratified(study: StudyUnderTest) -> None:
    assert study.figure("flow", site="milan")["enrolled"] == 1
    assert study.figure("flow", subset="stereotactic")["enrolled"] == 1
    assert study.figure("accrual")["groups"][0]["name"] == "all"
    for by, groups in (
        ("site", {"rome": 7, "milan": 1}),
        ("sex", {"female": 3, "male": 5}),
        ("performance", {"0-1": 0, "2": 0, "3-4": 0, "not_reported": 8}),
        ("subset", {"stereotactic": 1, "other": 7}),
    ):
        accrual = study.figure("accrual", by=by)
        assert {group["name"]: group["enrolled"] for group in accrual["groups"]} == groups
        assert accrual["parameters"]["by"] == by


def test_treatments_figure_has_one_row_per_target(study: StudyUnderTest) -> None:
    treatments = study.figure("treatments")
    assert len(treatments["targets"]) == 7
    (ablation,) = [row for row in treatments["targets"] if row["delivery"] == "SRS"]
    expected_doses = {
        "fractions": 1,
        "dose_per_fraction_gy": 20.0,
        "total_dose_gy": 20.0,
        "bed_10": 60.0,
        "eqd2_10": 50.0,
    }
    assert {name: ablation[name] for name in expected_doses} == expected_doses
    assert {"participant_id", "course_id", "target_id", "bed_3", "eqd2_3"} <= set(ablation)


@pytest.mark.parametrize("kind", ["json", "csv", "svg"])
def test_figure_file_name_states_study_figure_cut_and_position(study: StudyUnderTest, kind: str) -> None:
    response = study.get_analytics(f"figures/accrual.{kind}", by="site", cut="2024-06-30", at="5")
    name = f"{study.study_id}_accrual_by-site_cut-2024-06-30_position-5.{kind}"
    assert response.headers["content-disposition"] == f'inline; filename="{name}"'


def csv_rows(study: StudyUnderTest, name: str, **params: Any) -> list[dict[str, str]]:
    response = study.get_analytics(f"figures/{name}.csv", **params)
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(response.text)))


def test_csv_table_equals_the_json_figure(study: StudyUnderTest) -> None:
    flow, table = study.figure("flow"), csv_rows(study, "flow")
    failed = ("screen_failed", "screen_failed_after_consent")
    counts = [flow[name] for name in ("screened", *failed, "consented", "enrolled", "treated", "stereotactic")]
    assert [int(row["Participants"]) for row in table][:7] == counts
    assert table[6]["Percent of enrolled"] == "12.5"
    accrual = study.figure("accrual", by="site")
    steps = [(group["name"], step["on"], step["cumulative"]) for group in accrual["groups"] for step in group["curve"]]
    assert [
        (row["Group"], row["Date"], int(row["Cumulative"])) for row in csv_rows(study, "accrual", by="site")
    ] == steps
    targets = study.figure("treatments")["targets"]
    for row, target in zip(csv_rows(study, "treatments"), targets, strict=True):
        assert (row["participant_id"], row["delivery"]) == (target["participant_id"], target["delivery"])
        assert [float(row[name]) for name in ("total_dose_gy", "bed_10", "eqd2_3")] == [
            target[name] for name in ("total_dose_gy", "bed_10", "eqd2_3")
        ]


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("parameters", [{}, {"at": "0"}, {"cut": "1900-01-01"}])
def test_figure_svg_contains_no_script_or_link(study: StudyUnderTest, name: str, parameters: dict[str, str]) -> None:
    response = study.get_analytics(f"figures/{name}.svg", **parameters)
    assert (response.status_code, response.headers["content-type"]) == (200, "image/svg+xml")
    picture = parse_svg(response.content)
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    for element in picture.iter():
        assert element.tag.rpartition("}")[2] not in FORBIDDEN
        assert not [
            attribute for attribute in element.attrib if attribute.lower().startswith("on") or "href" in attribute
        ]


def test_cut_includes_facts_dated_on_its_day(study: StudyUnderTest) -> None:
    for cut, treated in ((facts.day(6), 0), (facts.day(7), 7)):
        assert study.figure("flow", cut=cut)["treated"] == treated
    rome, days = ZoneInfo("Europe/Rome"), [datetime.now(UTC)]
    default_cut = study.figure("flow")["cut"]
    assert default_cut in {day.astimezone(rome).date().isoformat() for day in [*days, datetime.now(UTC)]}


def test_cut_in_the_future_is_rejected(study: StudyUnderTest) -> None:
    for day in ("2100-12-31", (datetime.now(UTC) + timedelta(days=2)).date().isoformat()):
        response = study.get_analytics("figures/flow.json", cut=day)
        assert (response.status_code, response.json()["type"]) == (422, "/problems/parameter")
        assert day not in response.text


def test_past_position_and_time_show_the_figure_as_it_was(demo: Demo) -> None:
    with open_study(demo) as study:
        study.enroll_at("rome")
        before = study.wait_for_analytics()
        time.sleep(0.002)  # the clock of the next fact is later by more than its resolution
        study.enroll_at("rome")
        study.wait_for_analytics()
        recorded_at = study.get_analytics("position").json()["recorded_at"]
        assert study.figure("flow")["enrolled"] == 2
        past_figure = study.figure("flow", at=before)
        assert (past_figure["enrolled"], past_figure["position"]) == (1, before)
        past_time = datetime.fromisoformat(past_figure["recorded_at"])
        berlin = past_time.astimezone(datetime.strptime("+0100", "%z").tzinfo)
        for text in (past_time.isoformat(), past_time.isoformat().replace("+00:00", "Z"), berlin.isoformat()):
            assert study.figure("flow", as_of=text)["enrolled"] == 1, text
        unescaped = study.http.get(
            f"{study.address('figures/flow.json', 'analytics')}?as_of={berlin.isoformat()}",
            headers=study.authorization("monitor"),
        )
        assert unescaped.json()["enrolled"] == 1
        assert study.figure("flow", as_of=recorded_at)["enrolled"] == 2
        assert study.figure("flow", as_of="1970-01-01T00:00:00Z")["position"] == 0
        assert study.figure("flow", as_of="2999-01-01T00:00:00Z")["enrolled"] == 2
        assert study.figure("flow", at=0)["recorded_at"] is None


def test_invalid_time_or_position_is_rejected(study: StudyUnderTest) -> None:
    for invalid_time in ("2025-01-01", "2025-01-01T00:00:00", "0", "1735689600", "now", "9999-12-31T23:59:59-14:00"):
        assert study.get_analytics("figures/flow.json", as_of=invalid_time).status_code == 422, invalid_time
    for position in (study.expected_position + 1, -1, "1.5", "x", "cut:", "cut:a b", "9" * 16, "٣"):
        assert study.get_analytics("figures/flow.json", at=position).status_code == 422, position
    assert study.get_analytics("figures/flow.json", at=1, as_of="2025-01-01T00:00:00Z").status_code == 422
    assert study.get_analytics("figures/flow.json", at="cut:never").status_code == 404
    assert study.get_analytics("figures/flow.json", epoch="00000000-0000-0000-0000-000000000000").status_code == 410
    assert (
        study.get_analytics(
            "figures/flow.json", at=1, epoch=study.get_analytics("position").json()["epoch"]
        ).status_code
        == 200
    )
    for file_name in ("flow.pdf", "flow", "nothing.json", "flow.json.csv", "FLOW.json"):
        assert study.get_analytics(f"figures/{file_name}").status_code == 404


def test_named_cut_fixes_position_and_day(demo: Demo) -> None:
    with open_study(demo) as study:
        study.enroll_at("rome", facts.radiotherapy_started(3))
        # Between a participant and the study no order is promised: the cut counts what is there.
        study.wait_for_analytics()
        assert study.record_study_fact(facts.cut_taken("interim", 2), "investigator").status_code == 201
        cut_position = study.wait_for_analytics()
        study.enroll_at("rome")
        study.wait_for_analytics()
        frozen = study.figure("flow", at="cut:interim")
        assert (frozen["position"], frozen["cut"], frozen["enrolled"], frozen["treated"]) == (
            cut_position,
            facts.day(2),
            1,
            0,
        )
        assert study.figure("flow", at="cut:interim", cut=facts.day(9))["treated"] == 1
        repeated = study.record_study_fact(facts.cut_taken("interim", 5), "investigator")
        assert repeated.status_code == 422


def test_corrected_date_changes_the_current_figure_but_not_the_past(demo: Demo) -> None:
    with open_study(demo) as study:
        participant_id = study.enroll_at("rome")
        before = study.wait_for_analytics()
        enrollment_event = UUID(find_event_id(study, participant_id, "participant.enrolled"))
        assert (
            study.record_fact(
                participant_id, facts.correction(enrollment_event, facts.participant_enrolled(5))
            ).status_code
            == 201
        )
        study.wait_for_analytics()
        enrolled = {"on": facts.day(5), "cumulative": 1}
        assert study.figure("accrual")["groups"][0]["curve"][0] == enrolled
        assert study.figure("accrual", at=before)["groups"][0]["curve"][0] == {"on": facts.day(0), "cumulative": 1}
        assert study.record_fact(participant_id, facts.correction(enrollment_event, None)).status_code == 201
        study.wait_for_analytics()
        assert study.figure("flow")["enrolled"] == 0
        assert (
            study.record_fact(
                participant_id, facts.correction(enrollment_event, facts.participant_enrolled(5))
            ).status_code
            == 201
        )
        study.wait_for_analytics()
        assert study.figure("accrual")["groups"][0]["curve"][0] == enrolled


@pytest.mark.parametrize(
    "leaves", [facts.participant_voided(), facts.consent_withdrawn(9, "data_use")], ids=["voided", "data use withdrawn"]
)
def test_excluded_participant_is_removed_from_past_figures_too(demo: Demo, leaves: Any) -> None:
    with open_study(demo) as study:
        participant_id = study.enroll_at("rome", facts.radiotherapy_started(3))
        study.enroll_at("rome")
        before = study.wait_for_analytics()
        event = study.record_fact(participant_id, leaves).json()["event_id"]
        study.wait_for_analytics()
        pasts: tuple[dict[str, Any], ...] = ({}, {"at": before})
        for params in pasts:
            flow = study.figure("flow", **params)
            assert (flow["screened"], flow["enrolled"], flow["left_out"]) == (1, 1, 1)
            assert study.figure("treatments", **params)["targets"] == []
            assert "1 participant excluded" in study.get_analytics("figures/flow.svg", **params).text
        assert study.record_fact(participant_id, facts.correction(UUID(event), None)).status_code == 201
        study.wait_for_analytics()
        assert (study.figure("flow")["enrolled"], study.figure("flow", at=before)["left_out"]) == (2, 0)


def test_participant_withdrawn_from_follow_up_stays_in_the_figures(demo: Demo) -> None:
    with open_study(demo) as study:
        study.record_fact(study.enroll_at("rome"), facts.consent_withdrawn(9))
        study.wait_for_analytics()
        flow = study.figure("flow")
        assert (flow["enrolled"], flow["withdrawn"], flow["left_out"]) == (1, 1, 0)
        assert study.figure("flow", cut=facts.day(8))["withdrawn"] == 0


def test_site_sees_only_its_own_counts(study: StudyUnderTest) -> None:
    for site, enrolled in zip(SITES, (7, 1), strict=True):
        for user in (f"site@{site}", f"coordinator@{site}"):
            assert study.figure("flow", user)["enrolled"] == enrolled
            assert study.figure("flow", user)["parameters"]["site"] == site
            treated = study.figure("treatments", user)
            assert treated["parameters"]["followed_at"] == site
            assert f"followed at {site};" in study.get_analytics("figures/treatments.svg", user).text
            assert {group["name"] for group in study.figure("accrual", user, by="site")["groups"]} == {site}
    assert "followed_at" not in study.figure("treatments")["parameters"]


def test_live_stream_announces_the_position_at_which_a_change_is_readable(demo: Demo) -> None:
    with open_study(demo) as study:
        start = study.wait_for_analytics()
        live = study.address("live", "analytics")
        with study.http.stream("GET", live, headers=study.authorization("monitor")) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            lines = stream.iter_lines()
            assert next(lines) == "retry: 2000"
            response = study.record_study_fact(facts.site_activated("paris"))
            assert response.status_code == 201
            end = time.monotonic() + TIMEOUT_SECONDS
            while f"data: {start + 1}" != next(lines):
                assert time.monotonic() < end
        assert study.figure("flow", at=start + 1)["position"] == start + 1
