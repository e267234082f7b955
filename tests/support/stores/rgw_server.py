"""Ceph RGW: enforces object ACLs and bucket policies. A monitor, an in-memory OSD and the gateway, without systemd."""

from __future__ import annotations

import json
import textwrap
import typing as t
import uuid

from stores import certificates, packages, processes
from stores.model import StartRequest, StoreError, StoreServer

if t.TYPE_CHECKING:
    from pathlib import Path

_USER = "administrator"


def start(request: StartRequest) -> StoreServer:
    """Start Ceph with a plain and a TLS endpoint and return when the gateway has its administrator.

    The gateway's own port is request.port, with TLS; the plain one is a free one.
    """
    packages.ceph()
    folder = request.directory
    certs = certificates.make(folder / "certs", request.all_names)
    secure = request.port or processes.free_port(request.host)
    plain, monitor = processes.free_port(request.host), processes.free_port("127.0.0.1")
    config = _write_config(folder, monitor)
    logs = folder / "logs"
    pids: list[int] = []

    def spawn(name: str, *words: str | Path) -> None:
        command = [words[0], "--conf", config, *words[1:]]
        pids.append(processes.spawn(command, logs / f"{name}.log", bound_to_parent=request.bound_to_parent))

    try:
        osd_uuid, osd_secret = _make_monitor(folder, config, monitor)
        spawn("mon", "ceph-mon", "--foreground", "--id", "a")
        _make_osd(folder, config, osd_uuid, osd_secret)
        spawn("osd", "ceph-osd", "--foreground", "--id", "0")
        host = f"[{request.host}]" if ":" in request.host else request.host
        spawn(
            "rgw",
            *("radosgw", "--foreground", "--name", "client.rgw"),
            "--rgw_frontends",
            # Without tcp_nodelay small answers wait for the kernel.
            f"beast tcp_nodelay=1 endpoint={host}:{plain} ssl_endpoint={host}:{secure}"
            f" ssl_certificate={certs.certificate} ssl_private_key={certs.key}",
        )
        processes.wait_until(
            lambda: processes.listens(request.host, secure), pids, logs / "rgw.log", "radosgw", seconds=120
        )
        access_key, secret_key = add_user(config, _USER)
    except BaseException:
        processes.end(processes.with_birth(pids))
        raise
    return StoreServer(
        kind="rgw",
        endpoint_url=request.url("https", secure),
        access_key=access_key,
        secret_key=secret_key,
        region=request.region,
        ca_bundle=str(certs.authority),
        plain_endpoint_url=request.url("http", plain),
        pid=pids[-1],
        pids=processes.with_birth(pids),
        directory=str(folder),
        log=str(logs / "rgw.log"),
    )


def add_user(config: Path, name: str) -> tuple[str, str]:
    """Create a user of the gateway and return the access key and the secret key that it was given."""
    done = processes.run(
        ["radosgw-admin", "--conf", config, "user", "create", f"--uid={name}", f"--display-name={name}"]
    )
    try:
        keys = json.loads(done)["keys"][0]
        return str(keys["access_key"]), str(keys["secret_key"])
    except (ValueError, LookupError) as error:
        raise StoreError(f"radosgw-admin did not create the user {name}: {done[-500:]}") from error


def _write_config(folder: Path, monitor: int) -> Path:
    for name in ("mon", "osd", "rgw", "run", "logs"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    path = folder / "ceph.conf"
    path.write_text(
        textwrap.dedent(f"""\
        [global]
        fsid = {uuid.uuid4()}
        mon_initial_members = a
        mon_host = v1:127.0.0.1:{monitor}
        public_addr = 127.0.0.1
        cluster_addr = 127.0.0.1
        # With auth none radosgw loops for ever.
        auth_cluster_required = cephx
        auth_service_required = cephx
        auth_client_required = cephx
        keyring = {folder}/keyring
        run_dir = {folder}/run
        # Socket paths of more than 107 characters are refused.
        admin_socket =
        log_file =
        log_to_stderr = true
        mon_cluster_log_file = {folder}/logs/cluster.log
        mon_data = {folder}/mon
        osd_data = {folder}/osd
        rgw_data = {folder}/rgw
        mon_data_avail_warn = 1
        mon_data_avail_crit = 1
        mon_max_pg_per_osd = 4000
        mon_allow_pool_delete = true
        osd_pool_default_size = 1
        osd_pool_default_min_size = 1
        osd_pool_default_pg_num = 8
        osd_pool_default_pgp_num = 8
        osd_pool_default_pg_autoscale_mode = off
        osd_crush_chooseleaf_type = 0
        osd_objectstore = memstore
        memstore_device_bytes = 4294967296
        osd_memory_target = 939524096
        # No need to be slow where no disk is.
        osd_op_num_shards = 2
        rgw_enable_usage_log = false
        rgw_enable_gc_threads = true

        [osd]
        keyring = {folder}/osd/keyring
        """),
        encoding="utf-8",
    )
    return path


def _make_monitor(folder: Path, config: Path, port: int) -> tuple[str, str]:
    """Make the monitor's data, with all keys in it, and return the OSD's uuid and secret."""
    keyring, monmap = folder / "keyring", folder / "monmap"
    fsid = next(
        line.split("=")[1].strip() for line in config.read_text(encoding="utf-8").splitlines() if "fsid" in line
    )
    tool: tuple[str | Path, ...] = ("ceph-authtool", keyring, "--gen-key", "--name")
    processes.run(
        ["ceph-authtool", keyring, "--create-keyring", "--gen-key", "--name", "mon.", "--cap", "mon", "allow *"]
    )
    everything = ("--cap", "mon", "allow *", "--cap", "osd", "allow *", "--cap", "mgr", "allow *")
    processes.run([*tool, "client.admin", *everything])
    processes.run([*tool, "client.rgw", "--cap", "mon", "allow rw", "--cap", "osd", "allow rwx"])
    processes.run(["monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v1:127.0.0.1:{port}]", monmap])
    processes.run(["ceph-mon", "--conf", config, "--mkfs", "--id", "a", "--monmap", monmap, "--keyring", keyring])
    osd_keyring = folder / "osd" / "keyring"
    processes.run(["ceph-authtool", osd_keyring, "--create-keyring", "--gen-key", "--name", "osd.0"])
    osd_secret = processes.run(["ceph-authtool", osd_keyring, "--print-key", "--name", "osd.0"]).strip()
    return str(uuid.uuid4()), osd_secret


def _make_osd(folder: Path, config: Path, osd_uuid: str, osd_secret: str) -> None:
    secrets_file = folder / "osd-secrets.json"
    secrets_file.write_text(json.dumps({"cephx_secret": osd_secret}), encoding="ascii")
    number = processes.run(
        ["ceph", "--conf", config, "--connect-timeout", "30", "osd", "new", osd_uuid, "-i", secrets_file]
    ).strip()
    if number != "0":
        raise StoreError(f"Ceph called its first OSD {number!r}, not 0")
    processes.run(["ceph-osd", "--conf", config, "--id", "0", "--mkfs", "--osd-uuid", osd_uuid])
