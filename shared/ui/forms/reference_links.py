"""Links to a participant of the caller's site whose reference a form gives to another one."""

from __future__ import annotations

from fastapi import Request

from shared.kernel.errors import Forbidden
from shared.ui.forms import addresses
from shared.ui.forms.targets import FormTarget
from shared.ui.navigation import Link
from shared.web.read_logging import log_rows_of_refusal
from shared.web.reference_search import find_by_reference


async def links_to_reference(request: Request, target: FormTarget, reference: object) -> list[Link]:
    """Returns links to the participant of the site that has the reference, and to the page that finds participants.

    Only the site's staff gets the first one, as by a search of its own, which the log of reads records. The form of a
    correction has a participant already, whose read is recorded instead.
    """
    find_page = Link(addresses.find_url(target.study_id), "Find a participant by the number at the site")
    if target.stream_id is not None or not isinstance(reference, str):
        return [find_page]
    try:
        rows = await find_by_reference(request, target.study_id, reference)
    except Forbidden:
        return [find_page]
    numbers = [number for number, head in rows if head.site_id == target.context.site_id]
    await log_rows_of_refusal(request, target.study_id, "search", len(numbers))
    bases = {number: addresses.participant_base("enrollment", target.study_id, number) for number in numbers}
    return [*(Link(url, f"Participant {number}") for number, url in bases.items()), find_page]
