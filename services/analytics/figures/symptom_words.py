"""The words of symptom relief: sentences of the caption, cells of the table, and parts of the picture. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from services.analytics.figures.incidence_numbers import IncidenceLandmark
from services.analytics.figures.share_chart import MOST_LABELED_GROUPS, ShareRow, ShareSection
from services.analytics.figures.shares import SHARE_HEADINGS
from services.analytics.figures.survival_numbers import DAYS_OF_MONTH
from services.analytics.figures.symptom_numbers import SymptomGroup, SymptomRows
from services.analytics.statistics.proportions import percent
from services.analytics.wording.phrasing import capitalize, humanize

_SHARES: Mapping[str, str] = {
    "relieved": "Relief ever",
    "relieved_of_assessed": "Relief ever, of those assessed",
    "relieved_at_last": "Relief at the last contact",
    "worse_at_last": "Worse at the last contact",
    "assessed": "Assessed after baseline",
    "died_before_contact": "Died before any contact",
}
TABLE_HEADINGS = ("Group", "Symptom", "Row", *SHARE_HEADINGS)


def describe_symptoms(group: SymptomGroup, is_divided: bool) -> Iterator[str]:
    """Yields a sentence for each symptom that is present in somebody of the group."""
    beginning = f"{group.name}, " if is_divided else ""
    for symptom in group.symptoms:
        if symptom.present:
            of_present = symptom.relieved.in_words()
            yield (
                f"{beginning}{humanize(symptom.symptom)}: relief of those with the symptom {of_present}; of those "
                f"assessed after baseline {symptom.relieved_of_assessed.in_words()}."
            )


def table_rows(group: SymptomGroup) -> Iterator[list[str]]:
    """Yields the rows of a group below `TABLE_HEADINGS`."""
    for symptom in group.symptoms:
        beginning = [group.name, symptom.symptom]
        counts = {"Present": symptom.present, "Absent": symptom.absent, "Not evaluable": symptom.not_evaluable}
        for words, count in counts.items():
            yield [*beginning, words, str(count), str(group.n), "", "", ""]
        for name, share in symptom.shares().items():
            yield [*beginning, _SHARES[name], *share.cells()]
        for landmark in symptom.incidence.landmarks:
            values = (landmark.estimate, landmark.lower, landmark.upper)
            cells = ["" if value is None else f"{percent(value):.1f}" for value in values]
            words = f"Cumulative incidence of relief at {_months(landmark)} months"
            yield [*beginning, words, "", str(symptom.incidence.n), *cells]


def picture_sections(groups: Sequence[SymptomGroup]) -> Iterator[ShareSection]:
    """Yields a section of the picture for each symptom."""
    for columns in zip(*(group.symptoms for group in groups), strict=True):
        rows = tuple(
            ShareRow(words, tuple(column.shares()[name] for column in columns)) for name, words in _SHARES.items()
        )
        yield ShareSection(capitalize(humanize(columns[0].symptom)), tuple(_lines(columns, groups)), rows)


def _lines(columns: Sequence[SymptomRows], groups: Sequence[SymptomGroup]) -> Iterator[str]:
    """Yields the counts at baseline and the incidences of each group, unless there are too many groups."""
    if len(groups) > MOST_LABELED_GROUPS:
        return
    for symptom, group in zip(columns, groups, strict=True):
        beginning = f"{group.name}: " if len(groups) > 1 else ""
        counts = f"present {symptom.present}, absent {symptom.absent}, not evaluable {symptom.not_evaluable}"
        yield f"{beginning}{counts}"
        yield from _incidences(symptom)


def _incidences(symptom: SymptomRows) -> Iterator[str]:
    """Yields the incidences at the landmarks; nothing if there is none yet."""
    landmarks = [
        (_months(landmark), landmark.estimate, landmark.competing)
        for landmark in symptom.incidence.landmarks
        if landmark.estimate is not None and landmark.competing is not None
    ]
    if landmarks:
        months, relief, death = zip(*landmarks, strict=True)
        yield f"cumulative incidence of relief at {' / '.join(map(str, months))} months: {_percents(relief)}"
        yield f"death without relief: {_percents(death)}"


def _percents(values: Sequence[float]) -> str:
    return f"{' / '.join(f'{percent(value):.1f}' for value in values)} %"


def _months(landmark: IncidenceLandmark) -> int:
    return round(landmark.time / DAYS_OF_MONTH)
