"""The running demo, and browsers of people of the study that a test module opens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.support.form_browser import FormBrowser, form_browser
from tests.api.support.study import StudyUnderTest
from tests.demo import Demo, open_demo

FOLDER = Path(__file__).parent
_DEMO = pytest.StashKey[Demo]()


@pytest.fixture(scope="session")
def demo(request: pytest.FixtureRequest) -> Iterator[Demo]:
    """The demo of this folder's tests."""
    with open_demo() as running:
        request.config.stash[_DEMO] = running
        yield running


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Ends the demo after the last test of this folder: even idle it takes processor time from the others."""
    running = item.config.stash.get(_DEMO, None)
    if running and not (nextitem and FOLDER in nextitem.path.parents):
        running.stop()


@pytest.fixture
def rome(study: StudyUnderTest) -> Iterator[FormBrowser]:
    """The browser of the staff of the site rome."""
    with form_browser(study, "site@rome") as browser:
        yield browser
