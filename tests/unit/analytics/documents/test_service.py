"""Documents of data cuts: who gets which scope, and how sizes are written."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from services.analytics.documents.registry import DOCUMENTS
from services.analytics.documents.service import document_scope, format_size
from shared.kernel.errors import Forbidden, ParameterRejected, ReadersSeeCuts, RequestError, SmallGroups
from shared.kernel.fact import Role
from shared.security.grants import Grant, Rights

REPORT, CHANGES = DOCUMENTS["report.pdf"], DOCUMENTS["cut-changes.json"]
ROLE: TypeAdapter[Role] = TypeAdapter(Role)


def rights(*grants: str) -> Rights:
    """Returns the rights of grants such as `site@rome`, or `reader` in the whole study."""
    parts = [grant.partition("@") for grant in grants]
    return Rights("somebody", frozenset(Grant(ROLE.validate_python(role), site or None) for role, _, site in parts))


@pytest.mark.parametrize(
    ("grants", "site", "report", "changes"),
    [
        (["investigator"], None, "study", "study"),
        (["monitor"], "rome", "site:rome", "site:rome"),
        (["administrator"], None, "study", Forbidden),
        (["site@rome"], None, "site:rome", "site:rome"),
        (["site@rome"], "milan", Forbidden, Forbidden),
        (["site@rome", "site@milan"], None, ParameterRejected, ParameterRejected),
        (["site@rome", "site@milan"], "milan", "site:milan", "site:milan"),
        (["reader"], None, "readers", ReadersSeeCuts),
        (["reader"], "rome", SmallGroups, ReadersSeeCuts),
        (["reader@rome"], None, SmallGroups, ReadersSeeCuts),
        (["reader", "site@rome"], None, "study", "site:rome"),
    ],
)
def test_members_get_the_documents_of_what_they_see(
    grants: list[str], site: str | None, report: str | type[RequestError], changes: str | type[RequestError]
) -> None:
    for document, expected in ((REPORT, report), (CHANGES, changes)):
        if isinstance(expected, str):
            assert document_scope(rights(*grants), document, site).name == expected
        else:
            with pytest.raises(expected):
                document_scope(rights(*grants), document, site)


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (480_499, "480 kB"), (999_499, "999 kB"), (999_500, "1.0 MB")],
)
def test_sizes_are_written_for_people(size: int, words: str) -> None:
    assert format_size(size) == words
