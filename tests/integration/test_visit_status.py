"""The state of a visit in the database: equal to that of the truth table, for each site's own day and tenant."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import product
from typing import Any

from services.analytics.cohort.participants import participant_of_events
from services.analytics.cohort.study_plans import StudyPlans
from services.analytics.derivation.derive import derive
from services.analytics.derivation.follow_up_rows import VisitRow
from services.analytics.derivation.rows import NEVER
from shared.contracts.event import stated_facts
from shared.kernel.fact import Fact
from shared.kernel.record import current_record
from shared.postgres.tenancy import Tenant, transaction
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as follow_up
from tests.conftest import Database
from tests.integration.support.derived_study import TREATED, open_derived_study
from tests.unit.analytics.visit_rows import status_by_row

FIRST_DAY = date(2025, 2, 14)


def day(number: int) -> date:
    """A day counted from the opening of the window, which closes on day 28; the slot ends on day 90."""
    return FIRST_DAY + timedelta(days=number)


ENDS = [(NEVER, 0), *product((date.min, day(-1), day(28), day(29), day(91)), (1, 2, 3))]
CLOSINGS = [(NEVER, 0), *product((day(-1), day(28), day(29), day(91)), (4, 5))]
CONTACTS = (NEVER, day(0), day(28), day(29), day(90))
RESUMPTIONS = (NEVER, day(29), day(100))
DECLARATIONS = (NEVER, day(-5))
TODAYS = [day(number) for number in (-2, -1, 0, 28, 29, 90, 91)]


def visit_rows() -> Iterator[VisitRow]:
    """Rows of a visit with every value of the columns that its state depends on, around each boundary."""
    for contact, ended, closing, resumed, missed in product(CONTACTS, ENDS, CLOSINGS, RESUMPTIONS, DECLARATIONS):
        yield VisitRow(
            "P",
            schedule="",
            anchor_on=FIRST_DAY,
            anchor_precision=0,
            valid_from=FIRST_DAY,
            valid_to=NEVER,
            number=1,
            opens=day(0),
            target=day(14),
            closes=day(28),
            slot_ends=day(90),
            contact_on=contact,
            contact_precision=0,
            missed_on=missed,
            declared_on=NEVER,
            scheduled_on=NEVER,
            snoozed_until=NEVER,
            is_acknowledged=False,
            ends_on=ended[0],
            ends_as=ended[1],
            closing_on=closing[0],
            closing_as=closing[1],
            absent_until=resumed,
        )


def as_json(row: VisitRow) -> dict[str, Any]:
    infinite = {NEVER: "infinity", date.min: "-infinity"}
    members = {**row._asdict(), "schedule": 0}
    return {
        name: infinite.get(value, value.isoformat()) if isinstance(value, date) else value
        for name, value in members.items()
    }


STATES = """
select visit_state(v, d.today) as state, visit_reason(v, d.today) as reason
  from jsonb_array_elements($1::jsonb) with ordinality as e (value, place),
       jsonb_populate_record(null::derived_visit, e.value) as v,
       unnest($2::date[]) with ordinality as d (today, day_place)
 order by e.place, d.day_place
"""


async def test_state_in_the_database_is_that_of_the_truth_table(analytics_database: Database) -> None:
    rows = list(visit_rows())
    computed = await analytics_database.system.fetch(STATES, json.dumps([as_json(row) for row in rows]), TODAYS)
    expected = [status_by_row(row, today) for row in rows for today in TODAYS]
    assert [(row["state"], row["reason"]) for row in computed] == expected
    assert len({status.state for status in expected}) == 7


STATUSES = "select participant_id, number, state, reason from visit_status($1, $2, $3) order by participant_id, number"


async def test_visits_are_read_as_of_the_day_at_each_site_by_who_may_see_the_site(
    analytics_database: Database, study_id: str
) -> None:
    study = await open_derived_study(analytics_database, study_id)
    in_rome, moved = await study.add(*TREATED), await study.add(*TREATED, facts.participant_transferred("milan", 60))
    await study.derive()
    (first_visit,) = await analytics_database.system.fetch(
        "select opens, slot_ends from derived_visit where study_id = $1 and number = 1 limit 1", study_id
    )
    days = {"rome": first_visit["opens"], "milan": first_visit["slot_ends"]}
    expected = {in_rome.participant_id: "due", moved.participant_id: "overdue"}
    for site, visible in (("*", [in_rome, moved]), ("rome", [in_rome]), ("milan", [moved])):
        async with transaction(analytics_database.app, Tenant(study_id, site)) as connection:
            rows = await connection.fetch(STATUSES, study_id, list(days), list(days.values()))
        first_visits = {row["participant_id"]: row["state"] for row in rows if row["number"] == 1}
        ids = [history.participant_id for history in visible]
        assert first_visits == {participant_id: expected[participant_id] for participant_id in ids}


HISTORIES: dict[str, tuple[Fact, ...]] = {
    "alive": (follow_up.follow_up_recorded(120), follow_up.follow_up_recorded(160)),
    "dead": (follow_up.participant_died(250),),
    "dead without a date": (follow_up.vital_status_confirmed(200), follow_up.participant_died(None)),
    "withdrawn": (facts.consent_withdrawn(300),),
    "lost": (follow_up.lost_to_follow_up(200), follow_up.follow_up_resumed(330), follow_up.lost_to_follow_up(600)),
    "declared": (follow_up.visit_missed(100, 2), follow_up.visit_missed(100, 1)),
    "transferred": (facts.participant_transferred("milan", 60),),
}


async def test_states_of_histories_are_those_of_the_truth_table_on_every_day(
    analytics_database: Database, study_id: str
) -> None:
    study = await open_derived_study(analytics_database, study_id)
    histories = [await study.add(*TREATED, *stated) for stated in HISTORIES.values()]
    closing = facts.site_closed("rome", 500)
    await study.project([study.study.record(closing), study.study.record(facts.study_closed(facts.day(700)))])
    await study.derive()
    plans = StudyPlans.from_record(current_record(stated_facts(study.study.events)))
    rows = [
        row
        for history in sorted(histories, key=lambda history: history.participant_id)
        for row in derive(participant_of_events(history.participant_id, history.events), plans).visit
    ]
    for today in (date.fromisoformat(facts.day(number)) for number in range(30, 800, 7)):
        computed = await analytics_database.system.fetch(STATUSES, study_id, ["rome", "milan"], [today, today])
        assert [(row["state"], row["reason"]) for row in computed] == [status_by_row(row, today) for row in rows]
