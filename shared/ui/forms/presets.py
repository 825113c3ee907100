"""Choices that fill several fields of a form at once, such as a grant that is revoked: its member, role and site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.contracts.study import ROLES_IN_WORDS, MemberGranted, MemberRevoked
from shared.kernel.fact import Fact
from shared.kernel.record import Record
from shared.security.grants import rights_from_record
from shared.ui.forms.entries import Pair, PostedForm
from shared.ui.forms.field_view import FieldView, Option

NAME = "form:preset"


@dataclass(frozen=True, slots=True)
class Preset:
    """One choice: its value in the form, its words, and the names and values that it fills in."""

    value: str
    label: str
    pairs: tuple[Pair, ...]


def standing_grants(study: Record, fact: type[Fact]) -> list[Preset]:
    """Returns the grants that the form of a revocation offers; an empty list for other forms."""
    if fact is not MemberRevoked:
        return []
    members = dict.fromkeys(grant.member for grant in study.facts_of(MemberGranted))
    return [
        _preset(member, grant.role, grant.site_id or "")
        for member in members
        for grant in sorted(rights_from_record(study, member).grants, key=lambda grant: (grant.role, grant.scope))
    ]


def _preset(member: str, role: str, site: str) -> Preset:
    words = ROLES_IN_WORDS[role].partition(":")[0]
    label = f"{member}: {words}, {f'site {site}' if site else 'whole study'}"
    pairs = [("member", member), ("role", role), ("site_id", site)]
    return Preset("|".join((role, site, member)), label, tuple(pair for pair in pairs if pair[1]))


def with_preset(form: PostedForm, presets: Sequence[Preset]) -> PostedForm:
    """Returns the form with the fields that its choice fills in, or with the choice that its fields are those of."""
    stated = {pair for pair in form.pairs if pair[1]}
    for preset in presets:
        if preset.value == form.preset or (not form.preset and set(preset.pairs) == stated):
            return replace(form, pairs=preset.pairs, preset=preset.value)
    return form


def preset_view(form: PostedForm, presets: Sequence[Preset], errors: Sequence[str]) -> FieldView:
    """Returns the choice as radio buttons."""
    options = [Option(preset.value, preset.label, preset.value == form.preset) for preset in presets]
    return FieldView(kind="radio", name=NAME, label="Grant", options=options, errors=errors, is_required=True)
