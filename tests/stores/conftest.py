"""Tests against real S3 servers."""

from __future__ import annotations

import contextlib
import functools
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import null_server
from expectations import COLUMNS, Verdicts
from stores import ProgramMissingError
from stores.fixtures import aws, minio, moto, rgw, seaweedfs, versitygw

__all__ = ["aws", "minio", "moto", "rgw", "seaweedfs", "versitygw"]

_VERDICTS = pytest.StashKey[Verdicts]()
_TABLE = Path(__file__).resolve().parents[1] / "output" / "stores.md"


def pytest_configure(config):
    config.stash[_VERDICTS] = Verdicts()


@pytest.fixture
def null_store(tmp_path_factory):
    """Starts null stores, the S3 servers of the benchmark that keep metadata only; takes what NullServer does."""
    try:
        null_server.program()
    except ProgramMissingError as error:
        pytest.skip(str(error))
    return functools.partial(null_server.NullServer, tmp_path_factory.mktemp("null"))


@pytest.fixture
def judge(request, subtests):
    """Fills in cells of the table: what fails in one fails the test, which goes on to the next all the same."""
    verdicts = request.config.stash[_VERDICTS]

    @contextlib.contextmanager
    def cell(row, column):
        with subtests.test(COLUMNS[column]), verdicts.cell(row, column):
            yield

    return cell


def pytest_terminal_summary(terminalreporter, config):
    """Show the table, and keep it in tests/output/."""
    lines = config.stash[_VERDICTS].table()
    if not lines:
        return
    terminalreporter.section("stores and expectations")
    explained = [f"{name}: {meaning}." for name, meaning in COLUMNS.items()]
    for line in (*lines, "", *explained):
        terminalreporter.line(line)
    _TABLE.parent.mkdir(exist_ok=True)
    _TABLE.write_text("\n".join((*lines, "", *(f"- {line}" for line in explained), "")), encoding="utf-8")
