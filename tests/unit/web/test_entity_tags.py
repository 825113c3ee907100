"""Entity tags as clients and proxies write them."""

from __future__ import annotations

import pytest

from shared.web.entity_tags import entity_tags, is_held, version_tag, versions


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (['"3"'], {3}),
        (['W/"3"'], {3}),
        (['"3-e7"'], {3}),
        (['W/"3-e7-r"'], {3}),
        (['"3", "4"'], {3, 4}),
        (['"3",W/"4"', '"5"'], {3, 4, 5}),
        ([' ,"3",'], {3}),
        (['"of somebody else"'.replace(" ", "-")], set()),
        (['"3-"'], set()),
        (['"03"'], {3}),
        (["*"], None),
        ([" * "], None),
    ],
)
def test_the_versions_of_if_match(lines: list[str], expected: set[int] | None) -> None:
    assert versions(lines) == expected


@pytest.mark.parametrize("line", ["3", "", ",", 'w/"3"', '"3', '3"', '"3" "4"', '"3", 4', '*, "3"', "'3'", '"a b"'])
def test_what_is_no_list_of_tags(line: str) -> None:
    with pytest.raises(ValueError, match="entity tag"):
        entity_tags([line])


@pytest.mark.parametrize(
    ("tag", "lines", "held"),
    [
        ('"3"', ['"3"'], True),
        ('"3"', ['W/"3"'], True),
        ('W/"3"', ['"2", "3"'], True),
        ('"3"', ["*"], True),
        ('"3"', ['"3-r"'], False),
        ('"3"', ["3"], False),
        ('"3"', [], False),
    ],
)
def test_what_a_client_holds_by_weak_comparison(tag: str, lines: list[str], held: bool) -> None:
    assert is_held(tag, lines) is held


def test_the_tag_of_a_record_begins_with_its_version() -> None:
    assert (version_tag(3), version_tag(3, ["e7", "r"])) == ('"3"', '"3-e7-r"')
