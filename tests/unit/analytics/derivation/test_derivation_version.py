"""`DERIVATION_VERSION`: rows and data queries that are derived otherwise than before have another version."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from services.analytics.derivation.rows import TABLES
from tests.contracts.derivation_digest import DerivationDigest, derive_histories, main, what_to_do


def test_rows_and_data_queries_change_only_with_the_version() -> None:
    assert what_to_do(DerivationDigest.stored(), DerivationDigest.current()) == ""


def test_fixed_histories_have_rows_in_every_table_and_data_queries() -> None:
    results = derive_histories().values()
    assert [table for table in TABLES if not any(getattr(result.rows, table) for result in results)] == []
    rules = {query.query.rule for result in results for query in result.queries if query.query}
    assert {"consent_without_data_use", "imprecise_course_end", "sbrt_fractionation"} <= rules


def test_results_do_not_depend_on_when_they_are_derived() -> None:
    assert DerivationDigest.current() == DerivationDigest.current()


def test_changed_rows_ask_for_a_new_version() -> None:
    current = DerivationDigest.current()
    before = replace(current, histories={**current.histories, "absence": "another"})
    assert "histories: absence; rules: none" in what_to_do(before, current)
    assert "Raise DERIVATION_VERSION" in what_to_do(before, current)


def test_added_rule_asks_for_a_new_version_even_if_it_finds_nothing() -> None:
    current = DerivationDigest.current()
    assert "rules: new_rule" in what_to_do(current, replace(current, rules=[*current.rules, "new_rule"]))


def test_digests_of_one_version_are_never_overwritten(tmp_path: Path) -> None:
    current, file = DerivationDigest.current(), tmp_path / "digest.json"
    for version, is_kept in ((current.version, True), (current.version - 1, False)):
        earlier = replace(current, version=version, histories={})
        file.write_text(earlier.to_text(), "utf-8")
        main(file)
        assert DerivationDigest.stored(file) == (earlier if is_kept else current)


def test_new_version_asks_for_new_digests() -> None:
    current = DerivationDigest.current()
    assert "run `make contracts`" in what_to_do(replace(current, version=current.version - 1), current)
