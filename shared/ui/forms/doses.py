"""Doses and products beside the numbers that are typed: 2 typed for centigray is seen to be 0.02 Gy."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from math import prod

from shared.ui.forms.entries import Entries
from shared.ui.forms.fields import Leaf, Member
from shared.ui.forms.reading import read_value


def describe_product(member: Member, siblings: Entries) -> str:
    """Returns what the factors of a number give, such as "30 × 200 = 6000"; an empty text for any other member."""
    texts = [(siblings.within(name).values or [""])[-1] for name in member.presentation.product_of]
    factors = [read_value(replace(member, node=Leaf("integer")), text) for text in texts]
    numbers = [factor for factor in factors if isinstance(factor, int)]
    if not texts or len(numbers) < len(texts):
        return ""
    return f"{' × '.join(map(str, numbers))} = {prod(numbers)} {member.presentation.unit}".strip()


def dose_in_gray(member: Member, text: str) -> str:
    """Returns a dose in centigray as "200 cGy = 2 Gy"; an empty text for anything else."""
    if member.presentation.unit != "cGy" or not text.strip():
        return ""
    value = read_value(member, text)
    return f"{value} cGy = {Decimal(value) / 100:f} Gy" if isinstance(value, int) else ""
