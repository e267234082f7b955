"""MinIO: ignores object ACLs, enforces bucket policies. Most self-hosted stores are MinIO."""

from __future__ import annotations

import secrets
import ssl
import urllib.error
import urllib.request

from stores import certificates, packages, processes
from stores.model import StartRequest, StoreServer


def start(request: StartRequest) -> StoreServer:
    """Start MinIO with TLS and return when it answers."""
    program = packages.minio()
    folder = request.directory
    certs = certificates.make(folder / "certs", request.all_names)
    port = request.port or processes.free_port(request.host)
    # MinIO takes user names of 3 to 20 and passwords of 8 to 40 characters.
    access_key, secret_key = f"TEST{secrets.token_hex(8).upper()}", secrets.token_hex(20)
    bind = f"[{request.host}]:{port}" if ":" in request.host else f"{request.host}:{port}"
    log = folder / "logs" / "minio.log"
    pid = processes.spawn(
        [
            program,
            "server",
            "--quiet",
            "--anonymous",
            "--certs-dir",
            certs.key.parent,
            "--address",
            bind,
            folder / "data",
        ],
        log,
        env={
            "MINIO_ROOT_USER": access_key,
            "MINIO_ROOT_PASSWORD": secret_key,
            "MINIO_SITE_REGION": request.region,
            "MINIO_BROWSER": "off",
            "MINIO_UPDATE": "off",
            # It refuses a data folder on the root file system otherwise.
            "MINIO_CI_CD": "on",
            "HOME": str(folder),
        },
        bound_to_parent=request.bound_to_parent,
    )
    probe_host = request.host if request.host not in ("0.0.0.0", "::") else "127.0.0.1"  # noqa: S104
    probe = f"https://[{probe_host}]:{port}" if ":" in probe_host else f"https://{probe_host}:{port}"
    trust = ssl.create_default_context(cafile=str(certs.authority))

    def ready() -> bool:
        try:
            with urllib.request.urlopen(f"{probe}/minio/health/ready", context=trust, timeout=2) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    pids = processes.ready_or_ended(ready, pid, log, "MinIO")
    return StoreServer(
        kind="minio",
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
