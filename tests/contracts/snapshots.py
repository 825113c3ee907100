"""`python -m tests.contracts.snapshots`: writes what is generated from the code and is in the repository.

These are OpenAPI documents, problem types, the list of data query rules, and digests of derived rows. A commit then
shows every change. `make contracts` runs it.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from services.analytics.__main__ import SERVICE_PROCESS as ANALYTICS
from services.enrollment import app as enrollment
from services.enrollment.__main__ import SERVICE_PROCESS as ENROLLMENT
from services.followup import app as followup
from services.followup.__main__ import SERVICE_PROCESS as FOLLOWUP
from services.toxicity import app as toxicity
from services.toxicity.__main__ import SERVICE_PROCESS as TOXICITY
from shared.contracts.problem_types import PROBLEMS, describe_problem_types
from shared.kernel.objection import ProblemType
from shared.settings import Settings
from shared.web.problem_types import SHARED_PROBLEM_TYPES
from tests.contracts import data_query_list, derivation_digest

FOLDER = Path(__file__).parent / "openapi"
SERVICE_PROCESSES = {f"{process.name}.json": process for process in (ENROLLMENT, TOXICITY, FOLLOWUP, ANALYTICS)}
"""Service by the name of its document's file."""


@cache
def openapi_documents() -> dict[str, str]:
    """Returns the current document of each service as indented text, by the name of its file."""
    documents = {name: process.create_app(Settings()).openapi() for name, process in SERVICE_PROCESSES.items()}
    return {name: json.dumps(document, sort_keys=True, indent=2) + "\n" for name, document in documents.items()}


def listed_problem_types() -> list[ProblemType]:
    """Returns the problem types that the services publish for objections."""
    return [*enrollment.PROBLEM_TYPES, *SHARED_PROBLEM_TYPES, *toxicity.PROBLEM_TYPES, *followup.PROBLEM_TYPES]


def problem_types_json() -> str:
    """Returns the problem types of all services as text."""
    return json.dumps(describe_problem_types(listed_problem_types()), indent=2, ensure_ascii=False) + "\n"


def write_openapi_documents(folder: Path = FOLDER) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in openapi_documents().items():
        (folder / name).write_text(text, "utf-8")


def main() -> None:
    write_openapi_documents()
    PROBLEMS.write_text(problem_types_json(), "utf-8")
    data_query_list.main()
    derivation_digest.main()


if __name__ == "__main__":
    main()
