"""pytest fixtures: one running store of each kind for a whole session.

A conftest.py puts tests/support on sys.path and then imports what it wants: `from stores.fixtures import minio, rgw`.
"""

from __future__ import annotations

import os
import typing as t
import uuid

import pytest

from stores.lifecycle import start, stop
from stores.model import MissingError, Store


def _running(kind: str, factory: pytest.TempPathFactory, **wishes: t.Any) -> t.Iterator[Store]:
    directory = factory.mktemp(kind, numbered=True)
    try:
        store = start(kind, directory, bound_to_parent=True, **wishes)
    except MissingError as error:
        if os.environ.get("CI", "").lower() in ("", "0", "false"):
            pytest.skip(str(error))
        raise
    yield store
    stop(directory)


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Store]:
    """A running MinIO."""
    yield from _running("minio", tmp_path_factory)


@pytest.fixture(scope="session")
def rgw(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Store]:
    """A running Ceph RGW."""
    yield from _running("rgw", tmp_path_factory)


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Store]:
    """A running moto server."""
    yield from _running("moto", tmp_path_factory)


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Store]:
    """A running SeaweedFS."""
    yield from _running("seaweedfs", tmp_path_factory)


@pytest.fixture(scope="session")
def versitygw(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Store]:
    """A running VersityGW."""
    yield from _running("versitygw", tmp_path_factory)


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory, rgw: Store) -> t.Iterator[Store]:
    """A running stand-in for Amazon S3, in front of the running Ceph RGW."""
    yield from _running("aws", tmp_path_factory, behind=rgw)


def new_bucket(store: Store) -> str:
    """Create an empty bucket of a name that was never used, and return the name."""
    name = f"test-{uuid.uuid4().hex[:16]}"
    store.client().create_bucket(Bucket=name)
    return name
