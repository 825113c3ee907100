from __future__ import annotations

from infra.local.demo_links import LIVE_STUDY, demo_links
from infra.reference.study import SITE_ID, STUDY_ID, default_grants


def test_each_granted_role_has_one_demo_link() -> None:
    granted = {"administrator", *(grant["role"] for grant in default_grants(STUDY_ID, [SITE_ID]))}
    for study in (STUDY_ID, LIVE_STUDY):
        assert sorted(link.role for link in demo_links() if link.study == study) == sorted(granted)


def test_links_of_the_reference_study_say_that_its_clock_stands_still() -> None:
    for link in demo_links():
        says_so = any("Today is always" in note for note in link.notes)
        assert says_so == (link.study == STUDY_ID)
