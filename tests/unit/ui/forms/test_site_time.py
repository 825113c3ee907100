"""F14: times are typed by the clock of the site, and the rule of 24 hours hangs on them."""

from __future__ import annotations

import pytest

from shared.contracts.toxicity import SeriousEventReported
from shared.kernel.errors import Fault
from shared.ui.forms.fields import fact_fields
from shared.ui.forms.site_time import describe_time, possible_times, resolve_time
from shared.ui.forms.words import describe_changes, describe_fact

ROME = "Europe/Rome"


@pytest.mark.parametrize(
    ("typed", "times"),
    [
        ("2024-03-07 09:30", ["2024-03-07T09:30:00+01:00"]),
        ("2024-07-07 9:30", ["2024-07-07T09:30:00+02:00"]),
        ("2024-07-07T09:30:15", ["2024-07-07T09:30:15+02:00"]),
        ("2024-03-31 02:30", []),  # the clocks go from 02:00 to 03:00
        ("2024-02-30 02:30", []),
        ("2024-10-27 02:30", ["2024-10-27T02:30:00+02:00", "2024-10-27T02:30:00+01:00"]),
        ("2024-03-07", None),
        ("2024-03-07T09:30:00Z", None),
    ],
)
def test_local_time_may_mean_none_one_or_two_times(typed: str, times: list[str] | None) -> None:
    assert possible_times(typed, ROME) == times


def test_time_that_exists_twice_is_asked_for_and_the_choice_is_taken() -> None:
    typed, later = "2024-10-27 02:30", "2024-10-27T02:30:00+01:00"
    assert isinstance(resolve_time([typed], ROME), Fault)
    assert resolve_time([typed, later], ROME) == later
    assert isinstance(resolve_time([typed, "2024-10-26T02:30:00+02:00"], ROME), Fault)
    assert isinstance(resolve_time(["2024-03-31 02:30"], ROME), Fault)


def test_time_with_an_offset_is_taken_as_it_is() -> None:
    assert resolve_time(["2024-03-07T09:30:00Z"], ROME) == "2024-03-07T09:30:00Z"


@pytest.mark.parametrize("text", ["yesterday", "07.03.2024 09:30", "2024-03-07", "2024-13-07T09:30:00Z"])
def test_text_that_is_no_time_is_asked_for_by_the_clock_of_the_site(text: str) -> None:
    """Not with an offset from UTC, which the form does not ask of people."""
    fault = resolve_time([text], ROME)
    assert isinstance(fault, Fault)
    assert fault.message == "Give the day and the time by the clock of the site, as YYYY-MM-DD HH:MM."


@pytest.mark.parametrize(
    ("instant", "words"),
    [
        ("2024-10-27T02:30:00+02:00", "2024-10-27 02:30 (+02:00) Europe/Rome"),
        ("2024-10-27T01:30:00Z", "2024-10-27 02:30 (+01:00) Europe/Rome"),
        ("2024-10-27T03:00:00+01:00", "2024-10-27 03:00 Europe/Rome"),
        ("2024-03-31T03:30:00+02:00", "2024-03-31 03:30 Europe/Rome"),
    ],
)
def test_time_in_the_hour_that_the_clock_repeats_is_shown_with_its_offset(instant: str, words: str) -> None:
    """F14: the rule of 24 hours hangs on which of the two was chosen."""
    assert describe_time(instant, ROME) == words


def test_time_is_shown_by_the_clock_of_the_site() -> None:
    assert describe_time("2024-03-07T09:30:00Z", ROME) == "2024-03-07 10:30 Europe/Rome"
    assert describe_time("2024-03-07 10:30", ROME) == "2024-03-07 10:30 Europe/Rome"
    assert describe_time("soon", ROME) == ""


def test_times_of_a_fact_and_of_its_changes_are_by_the_clock_of_the_site() -> None:
    fields = fact_fields(SeriousEventReported)
    before, after = ({"aware_at": time} for time in ("2024-03-07T08:30:00Z", "2024-07-07T08:30:00+00:00"))
    (line,) = describe_fact(fields, before, "Europe/Rome")
    assert (line.label, line.text) == ("Site became aware at", "2024-03-07 09:30 Europe/Rome")
    (change,) = describe_changes(fields, before, after, "Europe/Rome")
    assert change.after == "2024-07-07 10:30 Europe/Rome"
    assert describe_changes(fields, before, {"aware_at": "2024-03-07T09:30:00+01:00"}, "Europe/Rome") == []
