"""What becomes of somebody's disease, drawn before it is told in facts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from infra.reference import odds
from infra.reference.treated import Treated
from shared.protocol.schedule import add_months

SEEN_FOR_MONTHS = 27
"""From the start of radiotherapy; nothing that happens later is in a life."""


@dataclass(frozen=True)
class Progression:
    on: date
    kind: str
    basis: str
    body_site: str


@dataclass(frozen=True)
class Outlook:
    """Days that are not yet facts: nobody may ever hear of them. `until`: the first day on which nobody is seen."""

    dies_on: date
    cause: str
    progressions: tuple[Progression, ...]
    lost_on: date | None
    resumes_on: date | None
    until: date

    def away(self, day: date) -> bool:
        """Is the participant lost on that day?"""
        lost = self.lost_on is not None and day >= self.lost_on
        return lost and (self.resumes_on is None or day < self.resumes_on)


def foresee(rng: Random, treated: Treated, began: date, *, not_before: date | None = None) -> Outlook:
    """Of somebody whose radiotherapy began on that day; death comes no sooner than `not_before`."""
    dies_on = max(began + odds.survival(rng, treated.stage), not_before or began)
    last = add_months(began, SEEN_FOR_MONTHS)
    until = min(dies_on, last, (treated.withdrawn_on or last) + timedelta(days=1))
    lost_on, resumes_on = _lost(rng, began, until)
    progressions = tuple(_progressions(rng, treated, began, dies_on))
    return Outlook(dies_on, odds.draw(rng, odds.DEATHS), progressions, lost_on, resumes_on, until)


def _lost(rng: Random, began: date, until: date) -> tuple[date | None, date | None]:
    lost, resumes = odds.happens(rng, odds.LOST), odds.happens(rng, odds.RESUMES)
    lost_on = began + (until - began) * rng.uniform(0.3, 0.9)
    resumes_on = lost_on + timedelta(days=rng.randint(60, 200))
    if not lost or lost_on >= until:
        return None, None
    return lost_on, resumes_on if resumes and resumes_on < until else None


def _progressions(rng: Random, treated: Treated, began: date, dies_on: date) -> list[Progression]:
    if not odds.happens(rng, odds.PROGRESSES):
        return []
    first = began + (dies_on - began) * rng.betavariate(3, 2)
    found = [_progression(rng, treated, first)]
    if odds.happens(rng, odds.PROGRESSES_AGAIN):
        found.append(_progression(rng, treated, first + (dies_on - first) * rng.uniform(0.2, 0.9)))
    return found


def _progression(rng: Random, treated: Treated, on: date) -> Progression:
    kind = odds.draw(rng, odds.PROGRESSIONS)
    if kind == "local" and not (treated.index and treated.index.lesion_ids):
        kind = "regional"
    site = odds.draw(rng, odds.SPREADS_TO) if kind == "distant" else "neck"
    return Progression(on, kind, odds.draw(rng, odds.BASES), site)
