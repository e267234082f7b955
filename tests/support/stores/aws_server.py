"""Simulates Amazon S3: Ceph RGW behind a proxy with object ownership and the public access block."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

from stores import certificates, processes, rgw_server
from stores.model import StartRequest, StoreServer

_APP = Path(__file__).with_name("aws_app.py")


def start(request: StartRequest) -> StoreServer:
    """Start the proxy, and an RGW if the request names none. Return when it answers."""
    folder = request.directory
    behind = request.behind or rgw_server.start(dataclasses.replace(request, port=0))
    own = () if request.behind else behind.pids
    try:
        certs = certificates.make(folder / "proxy-certs", request.all_names)
        port = request.port or processes.free_port(request.host)
        settings = folder / "proxy.json"
        settings.touch(mode=0o600)
        settings.write_text(
            json.dumps(
                {
                    "host": request.host,
                    "port": port,
                    "certificate": str(certs.certificate),
                    "key": str(certs.key),
                    "backend_url": behind.plain_endpoint_url,
                    "access_key": behind.access_key,
                    "secret_key": behind.secret_key,
                    "region": behind.region,
                }
            ),
            encoding="utf-8",
        )
        log = folder / "logs" / "proxy.log"
        pid = processes.spawn([sys.executable, _APP, settings], log, bound_to_parent=request.bound_to_parent)
        pids = (*own, *processes.with_birth([pid]))
    except BaseException:
        processes.end(own)
        raise
    try:
        processes.wait_until(lambda: processes.listens(request.host, port), [pid], log, "the proxy")
    except BaseException:
        processes.end(pids)
        raise
    return dataclasses.replace(
        behind,
        kind="aws",
        endpoint_url=request.url("https", port),
        ca_bundle=str(certs.authority),
        plain_endpoint_url=None,
        pid=pid,
        pids=pids,
        directory=str(folder),
        log=str(log),
    )
