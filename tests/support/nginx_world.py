"""A real nginx with the site of a Mastodon instance in a temporary folder, for tests of the role media_server."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import typing as t
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from stores import packages, processes

ROOT = Path(__file__).resolve().parents[2]
_NGINX_CONF = """\
load_module {modules}/ngx_http_js_module.so;
user www-data;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    include /etc/nginx/mime.types;
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/etc/conf.d/*.conf;
    include {folder}/etc/site.conf;
}}
"""
# As in Mastodon's dist/nginx.conf
_SAMPLE_BLOCK = """\
    location ^~ /system/ {
        add_header X-Content-Type-Options nosniff;
        try_files $uri =404;
    }
"""


class Response(t.NamedTuple):
    """What a server answered: the status, the headers with names in lower case, and the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def request(
    port: int, path: str, method: str = "GET", host: str = "127.0.0.1", *, tls: bool = False, **headers: str
) -> Response:
    """Send a request with exactly this path to this machine, and return the response. Any certificate is accepted."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    if tls:
        context = ssl._create_unverified_context()  # noqa: S323 - the test asks nginx by its IP address
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=60, context=context)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": host, **headers}.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        return Response(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


class NameServer(threading.Thread):
    """A name server for which every name is this machine."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"

    def run(self) -> None:
        """Answer until the process ends."""
        while True:
            query, client = self._socket.recvfrom(512)
            end = query.index(b"\0", 12) + 5
            wants_ipv4 = query[end - 4 : end - 2] == b"\0\1"
            header = query[:2] + b"\x81\x80\0\1" + (b"\0\1" if wants_ipv4 else b"\0\0") + bytes(4)
            answer = b"\xc0\x0c\0\1\0\1" + struct.pack("!IH", 60, 4) + socket.inet_aton("127.0.0.1")
            self._socket.sendto(header + query[12:end] + (answer if wants_ipv4 else b""), client)


class NginxWorld:
    """An nginx, an instance, and the variables of the role. `apply` runs the playbook, `get` requests a page."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.etc = folder / "etc"
        self.site = self.etc / "site.conf"
        self.live = folder / "live"
        self.media = self.live / "public" / "system"
        self.env_file = self.live / ".env.production"
        self.state = folder / "state"
        self.port = processes.free_port("127.0.0.1")
        self.command = f"nginx -p {folder} -c {folder}/nginx.conf"
        self.pid = 0
        self._pids: tuple[tuple[int, str], ...] = ()
        self.variables: dict[str, t.Any] = {
            "ansible_connection": "local",
            "ansible_become": False,
            "ansible_python_interpreter": sys.executable,
            "media_server_nginx_dir": str(self.etc),
            "media_server_nginx_command": self.command,
            "media_server_mastodon_dir": str(self.live),
            "media_server_state_dir": str(self.state),
        }
        (self.etc / "conf.d").mkdir(parents=True)
        self.media.mkdir(parents=True)
        self.env({})
        self.write_site(_SAMPLE_BLOCK)
        built = subprocess.run(["nginx", "-V"], capture_output=True, text=True, check=True).stderr
        modules = re.search(r"--modules-path=(\S+)", built)
        assert modules
        text = _NGINX_CONF.format(folder=folder, modules=modules[1])
        (folder / "nginx.conf").write_text(text, encoding="utf-8")

    def write_site(self, block: str) -> None:
        """Write the site's configuration with this block for old addresses."""
        text = f"server {{\n    listen 127.0.0.1:{self.port};\n    root {self.live}/public;\n{block}}}\n"
        self.site.write_text(text, encoding="utf-8")

    def include_system(self) -> None:
        """Do what the role's reminder asks for."""
        self.write_site(f"    include {self.etc}/media_server/system.conf;\n")
        self.reload()

    def env(self, variables: Mapping[str, str]) -> None:
        """Write the instance's env file."""
        lines = {"LOCAL_DOMAIN": "social.example", "SECRET_KEY_BASE": "0123456789abcdef", **variables}
        self.env_file.write_text("".join(f"{name}={value}\n" for name, value in lines.items()), encoding="utf-8")
        self.env_file.chmod(0o600)

    def record(self, bucket: str, state: str) -> None:
        """Write the record of a migration in this state."""
        self.state.mkdir(mode=0o700, exist_ok=True)
        record = {"version": 1, "bucket": bucket, "key_prefix": "", "state": state, "exposure": "policy"}
        path = self.state / f"{bucket}.switch.json"
        path.write_text(json.dumps(record), encoding="utf-8")
        path.chmod(0o600)

    def put(self, key: str, content: bytes, mode: int = 0o644) -> None:
        """Write a file into the media folder."""
        path = self.media / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)

    def get(self, path: str) -> Response:
        """Request a page of the site."""
        return request(self.port, path)

    def start(self) -> None:
        """Start nginx and wait until it answers."""
        words = [*self.command.split(), "-g", "daemon off;"]
        self.pid = processes.spawn(words, self.folder / "nginx.log", bound_to_parent=True)
        self._pids = processes.ready_or_ended(self._answers, self.pid, self.folder / "nginx.log", "nginx")

    def _answers(self) -> bool:
        try:
            return bool(request(self.port, "/").status)
        except OSError:
            return False

    def stop(self) -> None:
        """Stop nginx."""
        processes.end(self._pids)
        self.pid, self._pids = 0, ()

    def workers(self) -> set[str]:
        """Return the process IDs of the workers. They change with each reload."""
        return set(Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii").split())

    def reload(self) -> None:
        """Have nginx read its configuration again, and wait until it does."""
        before = self.workers()
        subprocess.run([*self.command.split(), "-s", "reload"], check=True, capture_output=True)
        self.wait_for_reload(before)

    def wait_for_reload(self, before: set[str]) -> None:
        """Wait until none of these workers is left."""
        deadline = time.monotonic() + 60
        while self.workers() & before or not self.workers():
            assert time.monotonic() < deadline, "nginx did not reload"
            time.sleep(0.05)

    def apply(self, *options: str, **variables: t.Any) -> tuple[int, str]:
        """Run the playbook, and return its status and output. If it reloads nginx, wait until that is done."""
        before = self.workers() if self.pid else set()
        inventory = {"mastodon": {"hosts": {"one": {}}, "vars": {**self.variables, **variables}}}
        (self.folder / "inventory.json").write_text(json.dumps(inventory), encoding="utf-8")
        environment = {
            **os.environ,
            "ANSIBLE_LOCAL_TEMP": str(self.folder / "tmp"),
            "ANSIBLE_HOME": str(self.folder / "home"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        }
        playbook = str(ROOT / "playbooks" / "media_server.yml")
        command = [sys.executable, "-m", "ansible", "playbook", "-i", "inventory.json", playbook, *options]
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
        said = done.stdout + done.stderr
        if done.returncode == 0 and re.search(r"Reload nginx\] \*+\s*changed", said):
            self.wait_for_reload(before)
        return done.returncode, said


@contextmanager
def nginx_world() -> Iterator[NginxWorld]:
    """Start an nginx in a temporary folder that its workers can read.

    Raises ProgramMissingError.
    """
    packages.nginx()
    folder = Path(tempfile.mkdtemp(prefix="nginx-", dir="/tmp"))
    folder.chmod(0o755)
    world = NginxWorld(folder)
    try:
        world.start()
        yield world
    finally:
        world.stop()
        shutil.rmtree(folder)
