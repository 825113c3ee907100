"""Entity tags as clients and proxies write them."""

from __future__ import annotations

import pytest

from shared.web.entity_tags import matches_if_none_match, parse_entity_tags, parse_if_match, version_tag


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
def test_if_match_is_parsed_into_versions(lines: list[str], expected: set[int] | None) -> None:
    assert parse_if_match(lines) == expected


@pytest.mark.parametrize("line", ["3", "", ",", 'w/"3"', '"3', '3"', '"3" "4"', '"3", 4', '*, "3"', "'3'", '"a b"'])
def test_malformed_entity_tags_are_refused(line: str) -> None:
    with pytest.raises(ValueError, match="entity tag"):
        parse_entity_tags([line])


@pytest.mark.parametrize(
    ("tag", "lines", "expected"),
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
def test_if_none_match_uses_weak_comparison(tag: str, lines: list[str], expected: bool) -> None:
    assert matches_if_none_match(tag, lines) is expected


def test_entity_tag_of_a_record_begins_with_its_version() -> None:
    assert (version_tag(3), version_tag(3, ["e7", "r"])) == ('"3"', '"3-e7-r"')
