"""The files that `quartal report` writes: each whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from infra.cli.report import write_documents
from infra.exchange.cut_documents import CutDocument

DOCUMENTS = [CutDocument(name, name.encode()) for name in ("cut-changes.csv", "datasets.zip", "report.pdf")]


def test_interrupt_amid_writing_leaves_no_part_of_a_file_and_the_next_run_completes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = {tmp_path / document.name: document for document in DOCUMENTS}
    replace, moved = os.replace, list[Path]()

    def interrupt_second(source: str, target: Path) -> None:
        if moved:
            raise KeyboardInterrupt
        moved.append(target)
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupt_second)
        with pytest.raises(KeyboardInterrupt):
            write_documents(documents)
    assert list(tmp_path.iterdir()) == moved
    assert moved[0].read_bytes() == documents[moved[0]].content
    lines = write_documents(documents)
    contents = {file: file.read_bytes() for file in tmp_path.iterdir()}
    assert contents == {file: document.content for file, document in documents.items()}
    assert sum("was there already" in line for line in lines) == 1
