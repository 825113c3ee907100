"""Entity tags (RFC 9110, section 8.8.3) for conditional reads and for writes at an expected version.

The tag of a record is its version, `"3"`. If a response depends on more than the version, the rest follows after a
hyphen: `"3-e7"` is version 3 here at version 7 of the participant in enrollment; `"3-r0"` hides sealed texts. A proxy
that compresses makes such a tag weak, `W/"3"`; it still names the version.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence

ANY = "*"
IF_MATCH_FORM = (
    'Send the version in quotation marks, as in the ETag of an answer: If-Match: "3"; or a list of them; or *.'
)
_TAG = re.compile(r'\s*(?:(?P<tag>(?:W/)?"[\x21\x23-\x7e\x80-\xff]*")\s*)?(?:,|$)')
_VERSION = re.compile(r'(?:W/)?"([0-9]{1,9})(?:-[a-z0-9-]+)?"')


def parse_entity_tags(field_lines: Sequence[str]) -> list[str]:
    """Returns the tags of the lines of a header field, or `*` alone. Raises ValueError for anything else."""
    field = ", ".join(field_lines)
    if field.strip() == ANY:
        return [ANY]
    tags, position = [], 0
    while position < len(field):
        match = _TAG.match(field, position)
        if not match or match.end() == position:
            raise ValueError("no list of entity tags")
        tags += [match["tag"]] if match["tag"] else []
        position = match.end()
    if not tags:
        raise ValueError("no entity tag")
    return tags


def parse_if_match(field_lines: Sequence[str]) -> frozenset[int] | None:
    """Returns the versions that If-Match names; None for `*`. A foreign tag names no version.

    Raises ValueError for anything but a list of entity tags.
    """
    tags = parse_entity_tags(field_lines)
    return None if tags == [ANY] else frozenset(int(match[1]) for tag in tags if (match := _VERSION.fullmatch(tag)))


def matches_if_none_match(tag: str, field_lines: Sequence[str]) -> bool:
    """Returns whether If-None-Match names the tag, by weak comparison. A malformed field names nothing."""
    try:
        tags = parse_entity_tags(field_lines)
    except ValueError:
        return False
    return tags == [ANY] or opaque_tag(tag) in map(opaque_tag, tags)


def opaque_tag(tag: str) -> str:
    """Returns the tag without the mark of a weak one."""
    return tag.removeprefix("W/")


def content_tag(content: bytes) -> str:
    """Returns the tag of a response without a version: a digest of its bytes."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def version_tag(version: int, dependencies: Collection[str] = ()) -> str:
    """Returns the tag of a record at a version; `dependencies` name what else the response depends on."""
    return f'"{"-".join([str(version), *dependencies])}"'
