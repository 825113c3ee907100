"""Values that a form suggests for a field in words, without filling them in. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from shared.contracts.study import CutTaken
from shared.kernel.fact import Fact
from shared.protocol.schedule import one_visit_before
from shared.ui.forms.context import FormContext


def suggestions(context: FormContext, fact: type[Fact]) -> Mapping[str, str]:
    """Returns sentences by the member of a fact that they suggest a value for."""
    if fact is not CutTaken or context.protocol is None:
        return {}
    day = one_visit_before(context.protocol.follow_up, context.today)
    return {
        "cut_on": f"Suggestion: {day}, one visit interval and its window before today. Deaths are reported at once and "
        "life is proved at visits, so a later cut-off shows too few of the living."
    }
