"""Links to the orders of a figure's lanes, as the cohort page shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from services.analytics import urls
from services.analytics.figures.registry import FIGURES
from services.analytics.snapshot.selection import LaneOrder
from services.analytics.wording.phrasing import capitalize
from shared.ui.navigation import NavLink

_LABELS: Mapping[LaneOrder, str] = {"origin": "day of the origin", "participant": "number", "site": "enrolling site"}


def order_links(study: str, name: str, query: Mapping[str, str]) -> list[NavLink]:
    """Returns a link to each order of a figure with lanes, from the first lane on; none for other figures."""
    if "sort" not in FIGURES[name].PARAMETERS:
        return []
    orders: tuple[LaneOrder, ...] = get_args(LaneOrder)
    current, others = query.get("sort", orders[0]), {key: value for key, value in query.items() if key != "pages"}
    return [
        NavLink(
            f"{urls.cohort_url(study, {**others, 'sort': order})}#{name}",
            capitalize(_LABELS.get(order, order)),
            is_current=order == current,
        )
        for order in orders
    ]
