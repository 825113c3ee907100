from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from decimal import Context, Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.statistics.elementary import exp, log, twelve_digits

DIGITS = Context(prec=80)
ROOT = Path(__file__).parents[4]
NUMBERS = """
import hashlib, numpy as np
from services.analytics.statistics.competing_risks import cumulative_incidence
from services.analytics.statistics.cox import fit_cox
from services.analytics.statistics.gray import gray_test
from services.analytics.statistics.kaplan_meier import kaplan_meier, quantile
from services.analytics.statistics.log_rank import log_rank
from services.analytics.statistics.restricted_mean import restricted_mean
from services.analytics.statistics.risk_sets import observe
days = np.arange(20_000) * 7919 % 3001
causes, groups = (days % 7 < 3) + (days % 11 < 3).astype(int), np.arange(20_000) % 3
both, deaths = observe(days, causes), observe(days, (causes > 0).astype(int))
late = observe(days + 1, (causes > 0).astype(int), days // 3)
curve, few = kaplan_meier(deaths), observe(days[:3000], causes[:3000])
incidences = cumulative_incidence(both, 2), cumulative_incidence(few, 2, np.arange(3000) // 3)
arrays = [curve.estimate, curve.standard_error, curve.lower, curve.upper]
arrays += [values for curves in incidences for values in (curves.incidence, curves.lower, curves.upper)]
print(*(hashlib.sha256(values.tobytes()).hexdigest() for values in arrays), sep="\\n")
print(quantile(curve), restricted_mean(curve, 900), fit_cox(late, groups % 2).hazard_ratio, sep="\\n")
print(log_rank(deaths, groups, 3), log_rank(late, groups, 3), gray_test(both, 1, groups, 3), sep="\\n")
"""
"""Prints digests of curves with thousands of rows, and estimates and tests of their observations."""
OLDER_PROCESSORS: tuple[dict[str, str], ...] = (
    {"NPY_DISABLE_CPU_FEATURES": "AVX512F AVX2 FMA3", "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA"},
    {"OPENBLAS_CORETYPE": "Prescott"},
)


@given(st.lists(st.floats(-745, 709), min_size=1) | st.lists(st.floats(-1, 1), min_size=1))
def test_exponential_is_the_nearest_double(values: list[float]) -> None:
    assert exp(np.array(values)).tolist() == [float(Decimal(value).exp(DIGITS)) for value in values]


@given(st.lists(st.floats(5e-324, 1.7e308), min_size=1) | st.lists(st.floats(0.9, 1.1), min_size=1))
def test_logarithm_is_the_nearest_double(values: list[float]) -> None:
    assert log(np.array(values)).tolist() == [float(Decimal(value).ln(DIGITS)) for value in values]


def test_many_arguments_of_limits_are_rounded_correctly() -> None:
    values = np.random.default_rng(1).uniform(0, 1, 2_000)
    assert log(values).tolist() == [float(Decimal(value).ln(DIGITS)) for value in values.tolist()]
    assert exp(-values).tolist() == [float(Decimal(-value).exp(DIGITS)) for value in values.tolist()]


def test_values_outside_the_domain_are_those_of_ieee() -> None:
    assert exp(np.array([-np.inf, -800, 0, 800, np.inf])).tolist() == [0, 0, 1, np.inf, np.inf]
    assert log(np.array([0, 1, np.inf])).tolist() == [-np.inf, 0, np.inf]
    assert np.isnan(exp(np.array([np.nan]))).all()
    assert np.isnan(log(np.array([-1, np.nan]))).all()


@pytest.mark.parametrize(("value", "rounded"), [(1 / 3, 0.333333333333), (2e9 / 3, 666666666.667), (0.0, 0.0)])
def test_values_of_distributions_keep_twelve_digits(value: float, rounded: float) -> None:
    assert twelve_digits(value) == rounded


def test_estimators_have_the_same_bytes_on_processors_without_vector_instructions() -> None:
    here = numbers_on({})
    assert len(here.splitlines()) == 16
    assert [numbers_on(processor) for processor in OLDER_PROCESSORS] == [here, here]


def numbers_on(processor: Mapping[str, str]) -> str:
    command = [sys.executable, "-W", "ignore", "-c", NUMBERS]
    environment = os.environ | processor
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True).stdout
