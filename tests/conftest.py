"""What holds for all tests."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).resolve().parent / "support"))

from skips import pytest_make_collect_report, pytest_runtest_makereport

# A busy machine takes longer for an example now and then, which says nothing about the code.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

__all__ = ["pytest_make_collect_report", "pytest_runtest_makereport"]
