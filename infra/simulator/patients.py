"""The people of `demo-live`: nobody ever lived, and equal seeds give equal lives.

A life is what three services are told of one participant from the screening on: late, corrected, at times
contradictory. It does not depend on the day that it is stated on, so a simulation that was interrupted goes on with the
same lives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from random import Random

from infra.reference import odds
from infra.reference.chart import (
    Chart,
    Entry,
    break_off_at_death,
    day_of,
    end_course,
    enrol,
    lesions,
    screen,
    start_course,
    target,
)
from infra.reference.contacts import contacts, follow
from infra.reference.grading import Grader, grade
from infra.reference.outlook import foresee
from infra.reference.study import CRITERIA, PROTOCOL
from infra.reference.synthetic import curative_course, fail, only_consent, treat
from infra.reference.treated import Happening, Treated
from infra.simulator import rates
from infra.simulator.rates import COURSES, Course
from infra.simulator.slips import CONTRADICTIONS, CORRECTIONS, know_less
from infra.simulator.story import Story, take
from infra.simulator.study import (
    DAYS_BETWEEN,
    DAYS_OF_ACCRUAL,
    FORMS,
    OPENED,
    SINCE,
    SITES,
    STUDY_ID,
    SYMPTOMS,
    Site,
)
from infra.simulator.telling import Life, Told, tell
from infra.simulator.turns import TURNS
from shared.protocol.protocol import FollowUp

__all__ = ["COURSES", "OPENED", "SINCE", "SITES", "STUDY_ID", "Life", "Site", "Told", "life", "lives", "story"]

PLAN = FollowUp.model_validate(PROTOCOL["follow_up"])
ABLATIVE = {"brain": [("SRS", 1, 1800), ("SRS", 1, 2000), ("FSRT", 5, 600)]}
ABLATIVE_ELSEWHERE = [("SBRT", 5, 600)] * 6 + [("SBRT", 3, 900)] * 6 + [("SBRT", 5, 700)] * 6 + [("SBRT", 8, 500)]
"""The last of them has more than five fractions, which is questioned."""


def lives(seed: int, number: int, sites: Sequence[Site] = SITES, since: date = SINCE) -> Iterator[Life]:
    """The first so many participants of that seed."""
    return (life(seed, index, sites, since) for index in range(number))


def life(seed: int, index: int, sites: Sequence[Site] = SITES, since: date = SINCE) -> Life:
    """Participant `index` (0, 1, …) of that seed: screened some time after `since`, at one of the sites."""
    return tell(story(seed, index, sites, since))


def story(seed: int, index: int, sites: Sequence[Site] = SITES, since: date = SINCE) -> Story:
    """What happens in that life, and what its sites get wrong."""
    rng = Random(f"{seed}/{index}")
    site = rng.choice(sites)
    day = since + timedelta(days=index * DAYS_BETWEEN % DAYS_OF_ACCRUAL + rng.randrange(DAYS_BETWEEN))
    reference = f"SIMULATED-{seed}-{index + 1:05}"
    chart = Chart(rng, Entry(site.site_id, reference, [each["id"] for each in CRITERIA], FORMS, SYMPTOMS), day)
    written = _afterwards(_lived(chart, odds.draw(rng, COURSES)), Story(rng, site, sites, []))
    take(written, TURNS, rates.TURNS)
    take(written, CONTRADICTIONS, rates.CONTRADICTIONS)
    take(written, CORRECTIONS, rates.CORRECTIONS)
    know_less(written, rates.EXACT_TO)
    return written


def _lived(chart: Chart, drawn: Course) -> Chart:
    match drawn:
        case "failed":
            return fail(chart, chart.rng.choice(["histology", "radiotherapy", "refused"]))
        case "consented":
            return only_consent(chart)
        case "stereotactic":
            return _stereotactic(chart)
        case _:
            return treat(chart, drawn)


def _stereotactic(chart: Chart) -> Chart:
    """Radiotherapy of the neck, then ablation of one metastasis."""
    screen(chart)
    sites = enrol(chart, "IVC")
    chart.later(8, 16)
    curative_course(chart)
    chart.later(30, 120)
    delivery, fractions, dose = chart.rng.choice(ABLATIVE.get(sites[0], ABLATIVE_ELSEWHERE))
    treated = {"lesion_ids": lesions(chart, "metastasis")[:1], "prescription_isodose_percent": 80}
    volume = target("met", "PTV_Met", fractions, dose, technique="stereotactic", delivery=delivery, **treated)
    end_course(chart, "RT-2", start_course(chart, "RT-2", "ablative", [volume], index=False))
    return chart


def _afterwards(chart: Chart, written: Story) -> Story:
    """Death cuts off what the chart had planned; what follows treatment is told to the other services."""
    treated = Treated.of(chart.facts)
    if treated and treated.index:
        written.outlook = foresee(chart.rng, treated, treated.index.began)
        break_off_at_death(chart, written.outlook.dies_on)
    written.happenings = [
        Happening("enrollment", fact["type"], fact["data"], date.fromisoformat(day_of(fact))) for fact in chart.facts
    ]
    written.treated = Treated.of(chart.facts)
    if written.treated and written.outlook:
        met = contacts(chart.rng, written.treated, written.outlook, PLAN)
        by = Grader("ctcae-5.0", written.site.time_zone)
        written.happenings += follow(chart.rng, written.treated, written.outlook, PLAN, met)
        written.happenings += grade(chart.rng, written.treated, written.outlook, met, by)
    return written
