"""A tree, worker processes, and the fake S3 server, to which they send."""

from __future__ import annotations

from collections import Counter

from fake_s3_server import FakeS3Server
from old_files import Writer

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.client import s3_client
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import ConnectionOptions
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.engine import sync
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import ExposureMode
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.options import (
    settings_from,
    sync_argument_spec,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Store
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.workers import Workers

CHECKSUM = "x-amz-checksum-sha256"


class WorkerWorld(Writer):
    def __init__(self, path, number=2, read_timeout=60):
        self.read_timeout = read_timeout
        self.src = path / "tree"
        self.src.mkdir()
        self.state = path / "state"
        self.server = None
        self.workers = Workers(number, self.store)
        self.server = FakeS3Server()

    def bodies(self):
        """Return the content of all objects, by key."""
        return {key: stored.body for key, stored in self.server.s3.objects.items()}

    def digests(self):
        """Count the kinds of checksums that the uploads had."""
        sent = self.server.sent_headers.values()
        return Counter(name for headers in sent for name in ("content-md5", CHECKSUM) if name in headers)

    def store(self, endpoint=None, style="auto"):
        # A worker was forked before the port was known: it learns it from the tree's own folder.
        endpoint = endpoint or (self.src.parent / "endpoint").read_text()
        options = ConnectionOptions(
            endpoint_url=endpoint,
            region="us-east-1",
            access_key="key",
            secret_key="secret",
            addressing_style=style,
            aws_config={"retries": {"mode": "standard", "total_max_attempts": 3}, "read_timeout": self.read_timeout},
        )
        return Store(lambda: s3_client(options), "media", "", acl=True)

    def sync(self, *, style="auto", host="127.0.0.1", stop=None, **options):
        (self.src.parent / "endpoint").write_text(f"http://{host}:{self.server.port}")
        params = {name: spec.get("default") for name, spec in sync_argument_spec().items()}
        params.update(
            {"src": str(self.src), "bucket": "media", "state_dir": str(self.state), "minimum_age": 0, **options}
        )
        settings = settings_from(params, check_mode=False)
        assert settings.rules.mode is ExposureMode.ACL
        return sync(settings, self.store(style=style), workers=self.workers, stop=stop)

    def close(self):
        self.workers.close()
        if self.server is not None:
            self.server.close()
