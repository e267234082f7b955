"""Creates MinIO users with few permissions."""

from __future__ import annotations

import os

import urllib3
from minio import MinioAdmin
from minio.credentials import StaticProvider


def minio_user(store, statements):
    """Create a MinIO user with a policy of these statements, and return the module options with its key."""
    name, secret = f"user{os.urandom(4).hex()}", os.urandom(16).hex()
    admin = MinioAdmin(
        endpoint=store.endpoint_url.removeprefix("https://"),
        credentials=StaticProvider(store.access_key, store.secret_key),
        region=store.region,
        http_client=urllib3.PoolManager(ca_certs=store.ca_bundle),
    )
    admin.user_add(name, secret)
    admin.policy_add(name, policy={"Version": "2012-10-17", "Statement": statements})
    admin.attach_policy([name], user=name)
    return {"access_key": name, "secret_key": secret}
