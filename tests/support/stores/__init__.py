"""Real S3 servers for the tests: MinIO, Ceph RGW, SeaweedFS, VersityGW and moto, and a stand-in for Amazon S3.

All are started and stopped without root and without containers.

`python tests/support/stores --help` is the command line; `start` and `stop` are the same for Python.
"""

from __future__ import annotations

from stores.lifecycle import KINDS, install, load, start, stop
from stores.model import MissingError, Store, StoreError

__all__ = ["KINDS", "MissingError", "Store", "StoreError", "install", "load", "start", "stop"]
