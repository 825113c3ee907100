"""Pages of rows about single participants: joined they are the whole list, whatever their limits are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.figures.row_pages import PageRequest, SelectedRows
from services.analytics.snapshot.columns import PARTICIPANT_DTYPE, Column
from shared.kernel.errors import RequestRejected

LIST_PARTS = ("study", "epoch", "treatments", "412 2025-01-31")
OTHER_LISTS = [(*LIST_PARTS[:index], "other", *LIST_PARTS[index + 1 :]) for index in range(len(LIST_PARTS))]
ROW_COUNTS = st.lists(st.integers(0, 4), max_size=12)
"""The number of rows of each participant."""
LIMITS = st.lists(st.integers(1, 20), min_size=1, max_size=5)


def participant_column(row_counts: list[int]) -> Column:
    names = [f"P-{number:03}".encode() for number, rows in enumerate(row_counts) for _ in range(rows)]
    return np.array(names, dtype=PARTICIPANT_DTYPE)


def select(request: PageRequest, participant_ids: Column) -> SelectedRows:
    return request.selector(LIST_PARTS).select(participant_ids)


@given(row_counts=ROW_COUNTS, limits=LIMITS)
def test_pages_joined_by_cursors_are_the_whole_list_and_repeat_no_row(row_counts: list[int], limits: list[int]) -> None:
    column = participant_column(row_counts)
    joined, request = list[int](), PageRequest(limit=limits[0])
    for number in range(len(column) + 1):
        selected = select(request, column)
        rows = list(range(*selected.places.indices(len(column))))
        assert (selected.page.total, selected.page.rows) == (len(column), len(rows))
        assert (selected.page.first, selected.page.last) == (len(joined) + 1, len(joined) + len(rows))
        joined += rows
        if selected.next is None:
            break
        assert len(rows) == request.limit
        request = PageRequest(after=selected.next, limit=limits[(number + 1) % len(limits)])
    assert joined == list(range(len(column)))


@given(row_counts=ROW_COUNTS, limit=st.integers(1, 20))
def test_pages_joined_by_number_are_the_whole_list_and_beyond_them_is_the_last(
    row_counts: list[int], limit: int
) -> None:
    column = participant_column(row_counts)
    page_count = max(1, -(-len(column) // limit))
    pages = [select(PageRequest(number=number, limit=limit), column) for number in range(1, page_count + 1)]
    assert [row for page in pages for row in range(*page.places.indices(len(column)))] == list(range(len(column)))
    assert select(PageRequest(number=page_count + 7, limit=limit), column) == pages[-1]


@given(row_counts=ROW_COUNTS)
def test_without_a_page_every_row_is_selected(row_counts: list[int]) -> None:
    column = participant_column(row_counts)
    selected = select(PageRequest(all_rows=True), column)
    assert (len(column[selected.places]), selected.next) == (len(column), None)


@given(row_counts=st.lists(st.integers(1, 4), min_size=2, max_size=12), data=st.data())
def test_participant_excluded_between_two_pages_neither_hides_nor_repeats_rows_of_others(
    row_counts: list[int], data: st.DataObject
) -> None:
    before = participant_column(row_counts)
    excluded = data.draw(st.integers(0, len(row_counts) - 1))
    after = participant_column([0 if number == excluded else rows for number, rows in enumerate(row_counts)])
    first = select(PageRequest(limit=data.draw(st.integers(1, len(before)))), before)
    rows = [*before[first.places]]
    if first.next:
        rows += [*after[select(PageRequest(after=first.next, limit=100), after).places]]
    name = f"P-{excluded:03}".encode()
    assert [row for row in rows if row != name] == [*after]


@given(
    keys=st.lists(st.integers(-3, 3), min_size=2, max_size=12), excluded=st.integers(0, 11), limit=st.integers(1, 11)
)
def test_participant_excluded_from_a_list_in_another_order_moves_nobody_to_another_page(
    keys: list[int], excluded: int, limit: int
) -> None:
    ordered = sorted((key, f"P-{number:03}".encode()) for number, key in enumerate(keys))
    remaining = [row for row in ordered if row[1] != f"P-{excluded:03}".encode()]

    def select_of(rows: list[tuple[int, bytes]], request: PageRequest) -> SelectedRows:
        names = np.array([name for _, name in rows], dtype=PARTICIPANT_DTYPE)
        return request.selector(LIST_PARTS).select(names, np.array([key for key, _ in rows], dtype=np.int64))

    first = select_of(ordered, PageRequest(limit=limit))
    listed_rows = ordered[first.places]
    if first.next:
        listed_rows += remaining[select_of(remaining, PageRequest(after=first.next, limit=100)).places]
    assert [row for row in listed_rows if row in remaining] == remaining


@pytest.mark.parametrize("other", OTHER_LISTS)
def test_cursor_of_another_study_epoch_figure_or_position_is_refused(other: tuple[str, ...]) -> None:
    cursor = select(PageRequest(limit=2), participant_column([1, 2, 3])).next
    assert cursor
    with pytest.raises(RequestRejected, match="Give `next` of the page before"):
        PageRequest(after=cursor).selector(other)


def test_page_is_selected_by_its_number_or_by_a_cursor() -> None:
    cursor = select(PageRequest(limit=2), participant_column([1, 2, 3])).next
    assert cursor
    with pytest.raises(RequestRejected, match="`page` or `after`, but not both"):
        PageRequest(after=cursor, number=2).selector(LIST_PARTS)
