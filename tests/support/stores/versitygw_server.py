"""VersityGW: ignores an ACL sent with an object, refuses every other ACL, and enforces bucket policies."""

from __future__ import annotations

import secrets

from stores import certificates, packages, processes
from stores.model import StartRequest, StoreServer


def start(request: StartRequest) -> StoreServer:
    """Start VersityGW with TLS for a folder, and return when it accepts connections."""
    program = packages.versitygw()
    folder = request.directory
    certs = certificates.make(folder / "certs", request.all_names)
    access_key, secret_key = f"TEST{secrets.token_hex(8).upper()}", secrets.token_hex(20)
    port = request.port or processes.free_port(request.host)
    bind = f"[{request.host}]:{port}" if ":" in request.host else f"{request.host}:{port}"
    for name in ("data", "metadata", "accounts"):
        (folder / name).mkdir()
    log = folder / "logs" / "versitygw.log"
    pid = processes.spawn(
        [
            *(program, "--port", bind, "--cert", certs.certificate, "--key", certs.key, "--region", request.region),
            *("--iam-dir", folder / "accounts", "--keep-alive", "--quiet"),
            # Metadata beside the files, since not every file system has extended attributes.
            *("posix", "--sidecar", folder / "metadata", folder / "data"),
        ],
        log,
        env={"ROOT_ACCESS_KEY": access_key, "ROOT_SECRET_KEY": secret_key, "HOME": str(folder)},
        bound_to_parent=request.bound_to_parent,
    )
    pids = processes.ready_or_ended(lambda: processes.listens(request.host, port), pid, log, "VersityGW")
    return StoreServer(
        kind="versitygw",
        endpoint_url=request.url("https", port),
        access_key=access_key,
        secret_key=secret_key,
        region=request.region,
        ca_bundle=str(certs.authority),
        plain_endpoint_url=None,
        pid=pid,
        pids=pids,
        directory=str(folder),
        log=str(log),
    )
