from __future__ import annotations

import pytest

from tests.unit.eventstore.enrollment_driver import EnrollmentDriver, open_study


@pytest.fixture
async def study() -> EnrollmentDriver:
    return await open_study()
