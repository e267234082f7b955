"""moto: S3 and IAM in one process, in memory, with plain HTTP. It does not enforce ACLs and IAM policies."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from pathlib import Path

from stores import packages, processes
from stores.model import StartRequest, StoreServer

_APP = Path(__file__).with_name("moto_app.py")


def start(request: StartRequest) -> StoreServer:
    """Start moto's threaded server and return when it answers. It accepts every key."""
    packages.moto()
    port = request.port or processes.free_port(request.host)
    log = request.directory / "logs" / "moto.log"
    pid = processes.spawn(
        [sys.executable, str(_APP), request.host, str(port)],
        log,
        bound_to_parent=request.bound_to_parent,
    )
    host = request.host if request.host not in ("0.0.0.0", "::") else "127.0.0.1"  # noqa: S104
    probe = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def ready() -> bool:
        try:
            with urllib.request.urlopen(f"{probe}/moto-api/data.json", timeout=2) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    pids = processes.ready_or_ended(ready, pid, log, "moto")
    url = request.url("http", port)
    return StoreServer(
        kind="moto",
        endpoint_url=url,
        access_key="testing",
        secret_key="testing-secret",
        region=request.region,
        ca_bundle=None,
        plain_endpoint_url=url,
        pid=pid,
        pids=pids,
        directory=str(request.directory),
        log=str(log),
    )
