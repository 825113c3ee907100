"""The files of a data cut: their number, and the progress of making them."""

from __future__ import annotations

from services.analytics.cuts.rendering import count_files, render_files
from services.analytics.snapshot.seals import READERS_SCOPE
from tests.unit.analytics.reports.sealed_studies import COHORT, study_at_cut


def test_progress_grows_up_to_the_number_of_files_and_counts_what_readers_are_refused() -> None:
    study, reports = study_at_cut(COHORT), list[tuple[int, int]]()
    files = render_files(study, report_progress=lambda *report: reports.append(report))
    total = count_files(study.snapshot.study)
    assert {of for _, of in reports} == {total}
    done = [number for number, _ in reports]
    assert done == sorted(done)
    assert (0 < done[0] < total / 2, done[-1]) == (True, total)
    own = [file for file in files if file.scope != READERS_SCOPE]
    assert len(own) == total * 2 // 3  # of the study and its site
    assert len(own) < len(files) < total
