"""The archive of the data sets of a data cut: the same bytes on every run, machine, day and locale."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from services.analytics.datasets.cohort import CutCohort
from services.analytics.datasets.csv_format import to_csv
from services.analytics.datasets.data_set import Record
from services.analytics.datasets.dataset_json import to_dataset_json
from services.analytics.datasets.define_xml import to_define_xml
from services.analytics.datasets.dictionary import dictionary_csv, dictionary_page
from services.analytics.datasets.headline import headline_csv
from services.analytics.datasets.identifiers import DEFINE_FILE
from services.analytics.datasets.read_me import read_me
from services.analytics.datasets.registry import DATA_SETS
from services.analytics.snapshot.seals import READERS_SCOPE, SealScope
from services.analytics.snapshot.study_at_cut import StudyAtCut
from shared.kernel.errors import ReadersSeeCuts

_SCRIPTS = [Path(__file__).with_name(name) for name in ("check.R", "numbers.R")]
_FIRST_TIME = (1980, 1, 1, 0, 0, 0)
_UNIX, _READABLE = 3, 0o644 << 16
Member = tuple[str, bytes]
"""A file of an archive: its name and its content."""


def make_datasets(study: StudyAtCut, scope: SealScope) -> bytes:
    """Returns the archive of a study at a data cut: of all participants, or of those whom the scope's site follows.

    Raises ReadersSeeCuts for readers, who see no single participants.
    """
    if scope == READERS_SCOPE:
        raise ReadersSeeCuts
    site, own = scope.site_id, study.snapshot_of_site(scope.site_id)
    if site is None:
        return make_archive(CutCohort(own, study.cut, study.sites))
    figures = CutCohort(study.snapshot, study.cut, study.sites, enrolling_site=site)
    elsewhere = sum(study.sites.get(figures.numbers[index]) != site for index in figures.screened)
    return make_archive(CutCohort(own, study.cut, study.sites, site_id=site, elsewhere=elsewhere), figures)


def make_archive(cohort: CutCohort, figures: CutCohort | None = None) -> bytes:
    """Returns the archive of a cohort. `figures`: the participants whom the figures of the cohort's site count.

    Of these the archive has nothing but the numbers of figures. Files are stored as they are: compressed bytes differ
    by library.
    """
    buffer, digests = BytesIO(), list[tuple[str, str]]()
    with ZipFile(buffer, "w", ZIP_STORED) as archive:
        for name, content in _members(cohort, figures):
            digests.append((sha256(content).hexdigest(), name))
            _write(archive, name, content)
        _write(archive, "manifest.sha256", "".join(f"{digest}  {name}\n" for digest, name in digests).encode())
    return buffer.getvalue()


def _write(archive: ZipFile, name: str, content: bytes) -> None:
    entry = ZipInfo(name, _FIRST_TIME)
    entry.create_system, entry.external_attr = _UNIX, _READABLE
    archive.writestr(entry, content)


def _members(cohort: CutCohort, figures: CutCohort | None) -> Iterator[Member]:
    """Yields the files, one at a time: those of large studies are large."""
    recorded_at = cohort.snapshot.recorded_at or datetime.combine(cohort.cut.cut_on, datetime.min.time(), UTC)
    yield "README.txt", read_me(cohort)
    for script in _SCRIPTS:
        yield script.name, script.read_bytes()
    yield "headline.csv", headline_csv(cohort, figures)
    yield DEFINE_FILE, to_define_xml(DATA_SETS, cohort.study_id, recorded_at)
    yield "dictionary.html", dictionary_page(DATA_SETS, cohort.study_id)
    yield "dictionary.csv", dictionary_csv(DATA_SETS)
    for data_set in DATA_SETS:
        records: list[Record] = [*data_set.make(cohort)]
        yield f"{data_set.file_name}.csv", to_csv(data_set, records)
        yield f"{data_set.file_name}.json", to_dataset_json(data_set, records, cohort.study_id, recorded_at)
