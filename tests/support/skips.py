"""Makes skipped tests fail in CI, so that no test is left out there unnoticed.

Elsewhere a test may be skipped if the machine lacks something. tests/conftest.py registers the two hooks with pytest,
so this applies to all ways to skip: marks, `pytest.skip`, `pytest.importorskip`, fixtures, whole files, subtests, and
expected failures, which pytest counts as skipped.
"""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

import pytest
from environments import in_ci

# Tests that may be skipped under CI as well: why, by the beginning of their names as pytest prints them
# ("tests/stores/test_x.py::test_y").
ALLOWED: Mapping[str, str] = {}


def _refuse(report: t.Union[pytest.CollectReport, pytest.TestReport]) -> None:
    if not report.skipped or not in_ci() or report.nodeid.startswith(tuple(ALLOWED)):
        return
    reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else getattr(report, "wasxfail", "no reason")
    report.outcome = "failed"
    report.longrepr = f"{report.nodeid}: skipped, which counts as a failure while CI is set: {reason}"
    if isinstance(report, pytest.TestReport) and hasattr(report, "wasxfail"):
        del report.wasxfail


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> t.Generator[None, t.Any, None]:
    """Change the report of a skipped test."""
    outcome = yield
    _refuse(outcome.get_result())


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_make_collect_report() -> t.Generator[None, t.Any, None]:
    """Change the report of a skipped file."""
    outcome = yield
    _refuse(outcome.get_result())
