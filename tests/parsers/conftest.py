"""Starts the real readers of dotenv files once for all tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support" / "parsers"))

import readers as real_readers


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """The folder that all readers see."""
    return tmp_path_factory.mktemp("parsers")


@pytest.fixture(scope="session")
def readers(folder):
    """All readers by name; without them the tests are skipped."""
    reason = real_readers.setup()
    started = {}
    if not reason:
        try:
            started = real_readers.start(folder)
        except (OSError, real_readers.ReaderError) as error:
            reason = str(error)
    if reason:
        pytest.skip(f"the real readers of dotenv files are missing: {reason}")
    yield started
    for reader in started.values():
        reader.close()
