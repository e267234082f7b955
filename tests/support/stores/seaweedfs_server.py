"""SeaweedFS: accepts object ACLs and ignores them, enforces bucket policies, and has an IAM API."""

from __future__ import annotations

import contextlib
import json
import secrets
from pathlib import Path

from stores import certificates, packages, processes
from stores.model import StartRequest, StoreServer

_PORTS = "ports.json"


def start(request: StartRequest) -> StoreServer:
    """Start SeaweedFS with a plain and a TLS endpoint. Return when the TLS endpoint accepts connections.

    The port of the request is the one with TLS. The plain endpoint gets a free port.
    """
    program = packages.seaweedfs()
    folder = request.directory
    certs = certificates.make(folder / "certs", request.all_names)
    access_key, secret_key = f"TEST{secrets.token_hex(8).upper()}", secrets.token_hex(20)
    identities = folder / "s3.json"
    identities.touch(mode=0o600)
    administrator = {
        "name": "administrator",
        "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
        "actions": ["Admin"],
    }
    identities.write_text(json.dumps({"identities": [administrator]}), encoding="ascii")
    (folder / "data").mkdir()
    secure = request.port or processes.free_port(request.host)
    plain = processes.free_port(request.host)
    # Servers other than S3 listen on loopback. A gRPC server without a port gets the other port plus 10,000.
    inner = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc")
    ports = {name: processes.free_port("127.0.0.1") for name in (*inner, "s3.port.grpc")}
    (folder / _PORTS).write_text(json.dumps([*ports.values(), plain]), encoding="ascii")
    log = folder / "logs" / "seaweedfs.log"
    pid = processes.spawn(
        [
            *(program, "server", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
            *(f"-{name}={port}" for name, port in ports.items()),
            *("-filer", "-s3", f"-s3.ip.bind={request.host}", f"-s3.port={plain}", f"-s3.port.https={secure}"),
            *(f"-s3.cert.file={certs.certificate}", f"-s3.key.file={certs.key}", f"-s3.config={identities}"),
            *("-s3.iam.readOnly=false", "-s3.port.iceberg=0", "-s3.port.lance=0"),
            # It tells its makers about itself otherwise.
            "-master.telemetry=false",
            # Many small volumes, since each bucket needs several.
            *("-master.volumeSizeLimitMB=64", "-volume.max=1000", "-volume.preStopSeconds=0"),
        ],
        log,
        env={"HOME": str(folder)},
        bound_to_parent=request.bound_to_parent,
    )
    pids = processes.ready_or_ended(lambda: processes.listens(request.host, secure), pid, log, "SeaweedFS")
    return StoreServer(
        kind="seaweedfs",
        endpoint_url=request.url("https", secure),
        access_key=access_key,
        secret_key=secret_key,
        region=request.region,
        ca_bundle=str(certs.authority),
        plain_endpoint_url=request.url("http", plain),
        pid=pid,
        pids=pids,
        directory=str(folder),
        log=str(log),
    )


def tidy(directory: Path) -> None:
    """Remove the sockets that it leaves in /tmp. Their names contain its ports."""
    with contextlib.suppress(FileNotFoundError):
        for port in json.loads((directory / _PORTS).read_text(encoding="ascii")):
            for socket in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                socket.unlink(missing_ok=True)
