"""Real S3 servers for the tests: MinIO, Ceph RGW, SeaweedFS, VersityGW and moto, and a simulation of Amazon S3.

All are started and stopped without root and without containers.

`python tests/support/stores --help` shows the command line. In Python, use `start` and `stop`.
"""

from __future__ import annotations

from stores.lifecycle import KINDS, install, load, start, stop
from stores.model import ProgramMissingError, StoreError, StoreServer

__all__ = ["KINDS", "ProgramMissingError", "StoreError", "StoreServer", "install", "load", "start", "stop"]
