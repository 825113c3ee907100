"""The facts that a service knows when it makes a form, and what the form says already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

from shared.gate.study_timeline import protocols_in_force
from shared.kernel.partial_date import PartialDate
from shared.kernel.record import Record
from shared.protocol.protocol import Protocol
from shared.terminology import ctcae
from shared.ui.forms.visits import ParticipantVisits, find_visits


@dataclass(frozen=True, slots=True)
class Offered:
    """One value that a form offers. `words` are those of the answers to it, where they depend on it."""

    value: str
    label: str
    words: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FormContext:
    """The facts that the service knows when it makes a form, and what the form says already.

    `enrollment` is the participant's record in enrollment, `own` the one in this service. The form gives the day
    `stated_on`, the course, the country and the chosen version of CTCAE. `sites` are those at which the caller may
    state the fact; None: every one. `hides_texts`: the caller does not see the sealed texts of the fact that the form
    corrects. `current_values`: the values that a report changes, by member. `kept_texts`: names of the fields of sealed
    texts that must be stated, and stay as they are unless others are given. `site_notes`: what a form says of a site.
    `suggestions`: sentences by the member that they suggest a value for. `standing_values`: those of the fact that the
    form corrects, by the names of its fields.
    """

    study: Record
    enrollment: Record = field(default_factory=Record)
    own: Record = field(default_factory=Record)
    today: date
    zone: str = "UTC"
    site_id: str | None = None
    stated_on: PartialDate | None = None
    course_id: str = ""
    country: str = ""
    chosen_dictionary: str = ""
    sites: frozenset[str] | None = None
    current_values: Mapping[str, Any] = field(default_factory=dict)
    suggestions: Mapping[str, str] = field(default_factory=dict)
    hides_texts: bool = False
    kept_texts: frozenset[str] = frozenset()
    site_notes: Mapping[str, str] = field(default_factory=dict)
    standing_values: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def protocol(self) -> Protocol | None:
        """The protocol in force on the day that the form gives, or today; None before the study is opened."""
        plans = protocols_in_force(self.study, self.stated_on or PartialDate.from_day(self.today))
        return plans[-1][0] if plans else None

    @property
    def dictionary(self) -> ctcae.CtcaeDictionary:
        """The terms by which toxicity is graded: those that a form about the protocol chooses, or the protocol's."""
        in_force = self.protocol.toxicity.dictionary if self.protocol else ctcae.DICTIONARY_NAMES[-1]
        is_there = self.chosen_dictionary in ctcae.DICTIONARY_NAMES
        return ctcae.load_dictionary(self.chosen_dictionary if is_there else in_force)

    @cached_property
    def visits(self) -> ParticipantVisits:
        """The participant's visits as they are counted today."""
        return find_visits(self.study, self.enrollment, self.own, self.course_id, self.today)
