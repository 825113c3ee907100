"""`python -m tests.contracts.data_query_list`: writes docs/architecture/analytics/data-query-rules.md.

The page lists the rules of data queries with their docstrings. `make contracts` runs it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

from services.analytics.queries.case import RULES
from services.analytics.queries.derive import RULE_MODULES

PAGE = Path(__file__).parents[2] / "docs/architecture/analytics/data-query-rules.md"
_INTRODUCTION = """# Rules of data queries

`make contracts` writes this page from the docstrings of the rules in `services/analytics/queries/rules`.
[Data queries](data-queries.md) explains how they are derived. The names are published: the key of a data query contains
the name of its rule.
"""


def page_text() -> str:
    """Returns the page as Markdown: a section for each module and an item for each rule, in the order of the code."""
    return "\n".join([_INTRODUCTION, *_sections()])


def _sections() -> Iterator[str]:
    for module in RULE_MODULES:
        title = (module.__doc__ or "").strip().removeprefix("Data queries about ")
        yield f"## {title.partition(':')[0].capitalize()}\n"
        rules = [(name, rule) for name, rule in RULES.items() if rule.__module__ == module.__name__]
        yield "\n".join(f"- `{name}`: {' '.join((inspect.getdoc(rule) or '').split())}" for name, rule in rules) + "\n"


def main() -> None:
    PAGE.write_text(page_text(), "utf-8")


if __name__ == "__main__":
    main()
