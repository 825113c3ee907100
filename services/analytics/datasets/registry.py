"""The data sets of the product, in the order in which Define-XML lists them."""

from __future__ import annotations

from services.analytics.datasets.adverse_events import ADAE
from services.analytics.datasets.data_cut import ADCUT
from services.analytics.datasets.data_set import DataSet
from services.analytics.datasets.lesion_assessments import ADLES
from services.analytics.datasets.lesion_times import ADTTEL
from services.analytics.datasets.responses import ADRS
from services.analytics.datasets.screening import ADSCR
from services.analytics.datasets.subject_level import ADSL
from services.analytics.datasets.symptoms import ADSYM
from services.analytics.datasets.systemic_therapy import ADCM
from services.analytics.datasets.targets import ADTRT
from services.analytics.datasets.time_to_event import ADTTE
from services.analytics.datasets.toxicity import ADTOX
from services.analytics.datasets.visits import ADVIS

DATA_SETS: tuple[DataSet, ...] = (
    *(ADSL, ADTTE, ADTTEL, ADAE, ADTOX, ADLES, ADRS, ADSYM, ADCM, ADVIS, ADTRT),
    *(ADSCR, ADCUT),
)
