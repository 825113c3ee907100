"""Names of the files that people download."""

from __future__ import annotations

from shared.web.file_names import MAX_FILE_NAME_LENGTH, file_name


def test_file_names_are_short_ascii_and_unique() -> None:
    sites = [f"site-{number:04}-{'long' * 6}" for number in range(60)]
    many, fewer = (
        file_name(["study", "flow", f"followed_at-{','.join(some)}", "cut-2026-01-01"], 4711, "csv")
        for some in (sites, sites[:-1])
    )
    assert {len(many), len(fewer)} == {MAX_FILE_NAME_LENGTH}
    assert many != fewer, "where they differ behind the place of the cut"
    assert many.endswith("_position-4711.csv")
    assert many.isascii()
    assert file_name(["study", "flow"], 4, "json") == "study_flow_position-4.json"
    assert file_name(['a"b\r\nc', "flow"], 4, "svg") == "a-b--c_flow_position-4.svg"
