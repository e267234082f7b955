"""pytest fixtures: one running store of each kind for a whole session.

A conftest.py adds tests/support to sys.path, and then imports what it needs: `from stores.fixtures import minio, rgw`.
"""

from __future__ import annotations

import typing as t
import uuid

import pytest

from stores.lifecycle import start, stop
from stores.model import ProgramMissingError, StoreServer


def _running(kind: str, factory: pytest.TempPathFactory, **wishes: t.Any) -> t.Iterator[StoreServer]:
    directory = factory.mktemp(kind, numbered=True)
    try:
        store = start(kind, directory, bound_to_parent=True, **wishes)
    except ProgramMissingError as error:
        pytest.skip(str(error))
    yield store
    stop(directory)


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[StoreServer]:
    """A running MinIO."""
    yield from _running("minio", tmp_path_factory)


@pytest.fixture(scope="session")
def rgw(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[StoreServer]:
    """A running Ceph RGW."""
    yield from _running("rgw", tmp_path_factory)


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[StoreServer]:
    """A running moto server."""
    yield from _running("moto", tmp_path_factory)


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[StoreServer]:
    """A running SeaweedFS."""
    yield from _running("seaweedfs", tmp_path_factory)


@pytest.fixture(scope="session")
def versitygw(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[StoreServer]:
    """A running VersityGW."""
    yield from _running("versitygw", tmp_path_factory)


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory, rgw: StoreServer) -> t.Iterator[StoreServer]:
    """A running simulation of Amazon S3, with the running Ceph RGW."""
    yield from _running("aws", tmp_path_factory, behind=rgw)


def new_bucket(store: StoreServer) -> str:
    """Create an empty bucket with a new name, and return the name."""
    name = f"test-{uuid.uuid4().hex[:16]}"
    store.client().create_bucket(Bucket=name)
    return name
