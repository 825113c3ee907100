"""Presentation of members: their labels, units and words, for forms, pages and files.

It is metadata of a type or of a member:

    index: Annotated[StrictBool, Presentation(label="Index course")]

Published schemas do not have it. A member without one is labeled by its name: `found_on` is "Found on", and
`size_mm` is "Size" in mm.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

Offer = Literal[
    "",
    "sites",
    "other_sites",
    "criteria",
    "consent_versions",
    "symptoms",
    "failure_reasons",
    "lesions",
    "next_lesion",
    "courses",
    "next_course",
    "running_courses",
    "targets",
    "next_line",
    "running_lines",
    "causes",
    "serious_events",
    "next_serious_event",
    "checklist",
    "terms",
    "visits",
    "reasons",
    "target_names",
    "countries",
    "zones",
    "dictionary_terms",
    "reminder_steps",
    "visit_courses",
    "open_visits",
    "coming_visits",
]
"""Name of what the service knows and a form offers for a member."""
_CODE = re.compile("`([^`]+)`")
_UNITS = {"_cgy": "cGy", "_mm": "mm", "_percent": "%", "_months": "months", "_days": "days"}


@dataclass(frozen=True, eq=False)
class Presentation:
    """Labels, words and offers of a member. The member's name and type give
    everything that is left out.

    `words` name coded values that do not speak for themselves. `offers` names what the service knows and a form offers;
    with `one_row_each`, a list has a row for everything offered. `beside`: the name of the map whose rows this one's
    values stand in. `lines`: lines of a text. `type_in`: other values than the offered ones are accepted. `comes_last`:
    a form asks for it after the other members. `product_of`: names of the members beside it whose product it is.
    `may_be_needed`: the answer to another member may make it necessary, so that a form always shows it.
    """

    label: str = ""
    help: str = ""
    unit: str = ""
    words: Mapping[str, str] = field(default_factory=dict)
    offers: Offer = ""
    one_row_each: bool = False
    type_in: bool = False
    beside: str = ""
    lines: int = 1
    comes_last: bool = False
    product_of: tuple[str, ...] = ()
    may_be_needed: bool = False

    def over(self, inner: Presentation) -> Presentation:
        """Returns this presentation with what it leaves out taken from `inner`, the presentation of the type."""
        return Presentation(
            label=self.label or inner.label,
            help=self.help or inner.help,
            unit=self.unit or inner.unit,
            words={**inner.words, **self.words},
            offers=self.offers or inner.offers,
            one_row_each=self.one_row_each or inner.one_row_each,
            type_in=self.type_in or inner.type_in,
            beside=self.beside or inner.beside,
            lines=max(self.lines, inner.lines),
            comes_last=self.comes_last or inner.comes_last,
            product_of=self.product_of or inner.product_of,
            may_be_needed=self.may_be_needed or inner.may_be_needed,
        )

    def named(self, name: str) -> Presentation:
        """Returns the presentation with the label and the unit that the member's name gives."""
        suffix = next((ending for ending in _UNITS if name.endswith(ending)), "")
        from_name = Presentation(label=name_in_words(name.removesuffix(suffix)), unit=_UNITS.get(suffix, ""))
        return self.over(from_name)

    def with_words_in_help(self) -> Presentation:
        """Returns the presentation with words instead of the codes that its help has in backticks."""
        return replace(self, help=_CODE.sub(lambda match: self.word(match[1]), self.help))

    def word(self, value: object) -> str:
        """Returns a coded value in words."""
        return self.words.get(str(value)) or code_in_words(str(value))


def id_presentation(thing: str, example: str, offers: Offer = "") -> Presentation:
    """Returns the presentation of an id that the site gives, such as that of a lesion: unique within a participant."""
    help_text = f"Short name, such as {example}. Each {thing} of the participant has its own."
    return Presentation(label=f"Id of the {thing}", help=help_text, offers=offers)


def name_in_words(name: str) -> str:
    """Returns the label of a member: `found_on` is "Found on", `lesion_ids` is "Lesions"."""
    stem = f"{name.removesuffix('_ids')}s" if name.endswith("_ids") else name.removesuffix("_id")
    return code_in_words(stem)


def code_in_words(code: str) -> str:
    """Returns a code as it reads on a page: `not_assessed` is "Not assessed". A code with capitals stays as it is."""
    text = code.replace("follow_up", "follow-up").replace("_", " ")
    return text[:1].upper() + text[1:] if code.islower() else text
