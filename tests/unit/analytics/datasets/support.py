"""Cohorts at a data cut with everything that data sets show, and their archives."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from io import BytesIO, StringIO
from zipfile import ZipFile

from services.analytics.datasets.archive import make_archive
from services.analytics.datasets.cohort import CutCohort
from services.analytics.datasets.time_to_event import TimeToEvent, make_times
from services.analytics.snapshot.snapshot import DataCut, StudySnapshot
from services.analytics.snapshot.study_at_cut import StudyAtCut
from services.analytics.statistics.risk_sets import Observations, observe
from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as follow_up
from shared.testing.builders.participant_history import participant_events
from shared.testing.builders.toxicity_facts import DYSPHAGIA, finding, toxicity_assessed
from tests.unit.analytics.endpoints.cohorts import KNOWN_ON, alive, cohort_of, dead, stereotactic_course, treated
from tests.unit.analytics.endpoints.lesion_cohorts import course, imaged, with_lesions
from tests.unit.analytics.published_cases import CASE_NUMBERS, published_case_events
from tests.unit.analytics.support import STUDY, day_after_start, record_of, snapshot_of_events

CUT_DAY = date(2025, 1, 31)
RECORDED_AT = datetime(2025, 2, 1, 12, tzinfo=UTC)


def cut_cohort(snapshot: StudySnapshot, cut: int | date = CUT_DAY) -> CutCohort:
    """Returns the cohort at a cut-off, which is given as a day or as days from the common day 0."""
    cut_on = cut if isinstance(cut, date) else day_after_start(cut)
    return CutCohort(snapshot, DataCut("interim", cut_on, snapshot.position, RECORDED_AT), {})


def times_of(snapshot: StudySnapshot, cut: int | date, code: str) -> list[TimeToEvent]:
    """Returns the times of a parameter."""
    return [time for time in make_times(cut_cohort(snapshot, cut)) if time.paramcd == code]


def observations_of(times: Iterable[TimeToEvent], *, by_cause: bool = False) -> Observations:
    """Returns times as they are read from the set, on the scale of figures."""
    rows = [*times]
    causes = [time.evntcd if by_cause else int(time.cnsr == 0) for time in rows]
    return observe([time.aval - 1 for time in rows], causes, [max(0, time.aentry - 1) for time in rows])


def various_cohort() -> StudySnapshot:
    """Returns the four published cases, and participants with every kind of end, partial dates and findings."""
    lost = follow_up.lost_to_follow_up(120)
    more: Mapping[str, list[Fact]] = {
        "P-LOST": treated(*alive(60, 110), lost, sex="male"),
        "P-WITHDRAWN": treated(*alive(30), facts.consent_withdrawn(90), dead(120)),
        "P-PARTIAL": treated(follow_up.participant_died("2024-09"), start=3, enrolled=10),
        "P-LATE": treated(*alive(200), enrolled=40, sex="male"),
        "P-RELIEVED": treated(
            facts.baseline_recorded(symptoms=[{"symptom": "pain", "severity": "moderate"}]),
            follow_up.follow_up_recorded(60, symptoms=[{"symptom": "pain", "change": "improved"}]),
        ),
        "P-TOXIC": treated(
            toxicity_assessed(-1, finding(DYSPHAGIA, 1), timepoint="baseline"),
            toxicity_assessed(20, finding(DYSPHAGIA, 3)),
            toxicity_assessed(50, finding(DYSPHAGIA, None), checklist_complete=False),
            stereotactic_course(100),
        ),
        "P-LESIONS": with_lesions(
            course(0, "L1", "L2"), imaged(60, "L1", status="progressed"), imaged(90, "L2"), dead(150)
        ),
        "P-ENROLLED": treated()[:3],
        "P-SCREENED": treated()[:1],
    }
    events = [event for number in CASE_NUMBERS for event in published_case_events(number)]
    for name, stated in more.items():
        events += participant_events(stated, name.ljust(11, "X"), known_on=KNOWN_ON)
    return snapshot_of_events(events, STUDY)


def linked_cohort() -> StudySnapshot:
    """Returns participants of a site that is linked to a registry, of one whose link has ended, and of one without."""
    links = [{"site_id": "rome", "from": facts.day(0)}]
    links += [{"site_id": "milan", "from": facts.day(0), "until": facts.day(200)}]
    consent = facts.consent_signed(0, options={"registry": True})
    registry = follow_up.vital_status_confirmed(180, "registry")
    progressed = follow_up.disease_progressed(50)
    withdrawn = [consent, *alive(90), facts.consent_withdrawn(100)]
    return cohort_of(
        [
            treated(*alive(90)),
            treated(*alive(90), progressed, dead(250)),
            treated(*alive(90), follow_up.lost_to_follow_up(100)),
            treated(*withdrawn, dead(220)),
            treated(*withdrawn),
            treated(*withdrawn, registry, dead(None)),
            treated(*alive(90), dead(130, presumed=True)),
            treated(*alive(90), dead(None)),
            treated(*alive(90), site="milan"),
            treated(*alive(90), dead(300), site="milan"),
            treated(*withdrawn, site="milan"),
            treated(*withdrawn, registry, dead(None), site="milan"),
            treated(*alive(90, 250), site="milan"),
            treated(*alive(90), facts.participant_transferred("paris", 120)),
            treated(*alive(90), progressed, facts.participant_transferred("rome", 120), site="paris"),
            treated(*alive(90), facts.consent_withdrawn(100), dead(200), site="paris"),
            treated(*alive(90), dead(2000), site="paris"),
        ],
        study=record_of(facts.study_opened(facts.protocol(registry_links=links))),
    )


def divided_cohort() -> StudySnapshot:
    """Returns participants of several groups whose index course starts after time 0, of a study with a target."""
    protocol = facts.protocol(
        survival_origin="enrolled",
        accrual_target={"participants": 40, "by": facts.day(500)},
        follow_up={"for_months": 6},
    )
    deaths = [dead(day) for day in (40, 40, 75, 110, 110, 160, 220, 300)] + [dead(None)]
    participants = list[list[Fact]]()
    for number in range(27):
        enrolled, start = number % 5, number % 5 + (0, 12, 60)[number % 3]
        ends = [deaths[number % 9]] if number % 2 else [] if number % 4 else [facts.radiotherapy_completed(start + 30)]
        baseline = facts.baseline_recorded(
            performance={"scale": "ECOG", "value": number % 4},
            tnm={
                "t": ("T1", "T2", "T4a", "T4b")[number % 4],
                "n": "N0",
                "m": ("M0", "cM1")[number % 2],
                "edition": "8",
            },
        )
        screened = facts.participant_screened(
            enrolled, site_id="rome", sex=("female", "male")[number % 7 % 2], birth_year=1940 + 2 * number
        )
        stated = treated(start=start, enrolled=enrolled)[1:]
        participants.append([screened, *stated, baseline, *alive(20 + start, *[350] * (number % 6 == 0)), *ends])
    return cohort_of(participants, study=record_of(facts.study_opened(protocol)))


def empty_cohort() -> StudySnapshot:
    return replace(cohort_of([treated()[:1]]), position=1)


def archive(snapshot: StudySnapshot, cut: int | date = CUT_DAY) -> bytes:
    return make_archive(cut_cohort(snapshot, cut))


def study_at_cut(snapshot: StudySnapshot, sites: Mapping[str, str], cut: int | date = CUT_DAY) -> StudyAtCut:
    """Returns a study at a data cut. `sites`: the sites that follow participants who were transferred."""
    cohort = cut_cohort(snapshot, cut)
    enrolling = dict(zip(cohort.numbers, cohort.words(snapshot.subjects["enrolling_site"]), strict=True))
    return StudyAtCut(cut=cohort.cut, epoch="e", snapshot=snapshot, sites={**enrolling, **sites}, sealed_later=False)


def two_sites() -> StudySnapshot:
    """Returns five participants of Rome and four of Milan, of whom the first, P00, has died."""
    rome = [treated(dead(60)), treated(*alive(90)), treated(dead(120)), treated(*alive(200)), treated()[:1]]
    milan = [treated(dead(30), site="milan"), treated(dead(80), site="milan"), treated(*alive(150), site="milan")]
    return cohort_of([*rome, *milan, treated(site="milan")[:3]])


def files(content: bytes) -> dict[str, bytes]:
    """Returns the files of an archive by name, in their order."""
    with ZipFile(BytesIO(content)) as archived:
        return {name: archived.read(name) for name in archived.namelist()}


def table(archived: Mapping[str, bytes], name: str) -> list[dict[str, str]]:
    return [*csv.DictReader(StringIO(archived[f"{name}.csv"].decode(), newline=""))]
