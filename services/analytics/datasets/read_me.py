"""The text that an archive of data sets begins with."""

from __future__ import annotations

from services.analytics.datasets.cohort import CutCohort
from services.analytics.datasets.identifiers import utc_text
from shared.version import VERSION

_TEXT = """\
Data sets of the study {study}, data cut {cut}
Data cut-off {cut_on}, position {position}{recorded}, {scope}, Quartal {version}

One record for each enrolled participant is in adsl; every other set names the participant by USUBJID. dictionary.html
says what each column is. Every set is there as CSV and as Dataset-JSON 1.1, with the metadata in define.xml
(Define-XML 2.1). The sets are ADaM-shaped: race and arm are not collected, and CTCAE is not MedDRA.

In R, with the package survival:

    adtte <- read.csv("adtte.csv")
    survfit(Surv(AENTRY, AVAL, CNSR == 0) ~ 1, adtte, subset = PARAMCD == "OS", conf.type = "log-log")

AVAL counts from 1, figures from 0: a day on a page is AVAL - 1. CNSR is 0 for an event, 9 for a competing event, and
else the reason of censoring: never use 1 - CNSR. For competing events take EVNTCD.

    Rscript check.R

computes the numbers in headline.csv, which are those of the figures at this data cut, from the sets, and stops with an
error where one differs. {site}manifest.sha256 has the SHA-256 of every file: sha256sum -c it.
"""

_SITE = """\
The figures of a site count the participants enrolled there (in headline.csv: enrolled), of whom {elsewhere} are
followed at another site. If there is one, the script says which numbers of {site} it cannot check. The numbers of the
participants in these sets (archive) it always checks.
"""


def read_me(cohort: CutCohort) -> bytes:
    """Returns the text."""
    recorded_at = cohort.snapshot.recorded_at
    words = f"participants followed at {cohort.site_id}" if cohort.site_id else "all participants"
    text = _TEXT.format(
        study=cohort.study_id,
        cut=cohort.cut.name,
        cut_on=cohort.cut.cut_on.isoformat(),
        position=cohort.snapshot.position,
        recorded=f", recorded by {utc_text(recorded_at)}" if recorded_at else "",
        scope=words,
        site=_SITE.format(site=cohort.site_id, elsewhere=cohort.elsewhere) if cohort.site_id else "",
        version=VERSION,
    )
    return text.encode()
