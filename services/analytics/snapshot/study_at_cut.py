"""A study at the position of a data cut, as its seal and its data sets are made of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from services.analytics.snapshot.columns import PARTICIPANT_DTYPE
from services.analytics.snapshot.snapshot import DataCut, StudySnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyAtCut:
    """A study at the position of a data cut. `sites`: the site that followed each participant there.

    `epoch`: that of positions. `sealed_later`: the cut was taken under a version that did not seal.
    """

    cut: DataCut
    epoch: str
    snapshot: StudySnapshot
    sites: Mapping[str, str]
    sealed_later: bool

    def snapshot_of_site(self, site_id: str | None) -> StudySnapshot:
        """Returns the snapshot of the participants whom a site followed at the cut; that of all without a site."""
        if site_id is None:
            return self.snapshot
        own = [participant_id.encode() for participant_id, site in self.sites.items() if site == site_id]
        return self.snapshot.limited_to(np.array(sorted(own), dtype=PARTICIPANT_DTYPE))
