"""Tests against real S3 servers."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from stores.fixtures import aws, minio, moto, rgw, seaweedfs, versitygw

__all__ = ["aws", "minio", "moto", "rgw", "seaweedfs", "versitygw"]
