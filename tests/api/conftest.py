"""Browsers of people of the study that a test module opens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.support.form_browser import FormBrowser, form_browser
from tests.api.support.study import StudyUnderTest


@pytest.fixture
def rome(study: StudyUnderTest) -> Iterator[FormBrowser]:
    """The browser of the staff of the site rome."""
    with form_browser(study, "site@rome") as browser:
        yield browser
