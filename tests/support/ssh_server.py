"""An OpenSSH server for tests, with its own keys and settings, on a free port of the loopback."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")

_SETTINGS = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/user_key.pub
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
"""


def missing() -> str:
    """Return what is missing to run one, or an empty string."""
    if os.geteuid() != 0:
        return "an SSH server needs root to take root's logins"
    return "" if SSHD else "there is no sshd: install openssh-server (it need not run)"


class SshServer:
    """A server whose connections can be cut, as by a router that fails, and that can be started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for name in ("host_key", "user_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        (folder / "sshd_config").write_text(_SETTINGS.format(port=self.port, folder=folder), encoding="ascii")
        # sshd refuses to start without the folder of its privilege separation, which its service makes.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self._process: subprocess.Popen[bytes] | None = None
        self.connect()

    def connect(self) -> None:
        """Start to listen."""
        assert SSHD is not None
        with (self.folder / "sshd.log").open("ab") as log:
            self._process = subprocess.Popen(
                [SSHD, "-D", "-e", "-f", str(self.folder / "sshd_config")], stdin=subprocess.DEVNULL, stderr=log
            )
        for _attempt in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
                return
            time.sleep(0.05)
        raise RuntimeError((self.folder / "sshd.log").read_text())

    def cut_off(self) -> int:
        """Stop the server and all sessions. Return the number of their processes."""
        process = self._process
        if process is None:
            return 0
        self._process = None
        process.send_signal(signal.SIGSTOP)  # it must not take new ones meanwhile
        sessions = _sessions(process.pid)
        for pid in sessions:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.kill()
        process.wait()
        return len(sessions)

    def variables(self) -> dict[str, object]:
        """Return the connection variables for Ansible."""
        return {
            "ansible_connection": "ssh",
            "ansible_host": "127.0.0.1",
            "ansible_port": self.port,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.folder / "user_key"),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={self.folder}/known_hosts -o StrictHostKeyChecking=no",
        }


def _sessions(server: int) -> list[int]:
    """Return the processes that handle the server's connections: its descendants that run sshd."""
    found, parents = [], {server}
    processes = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, _paren, rest = stat.read_text(errors="replace").partition("(")[2].rpartition(")")
            processes[int(stat.parent.name)] = (name, int(rest.split()[1]))
    while parents:
        children = {pid for pid, (name, parent) in processes.items() if parent in parents and name.startswith("sshd")}
        found += sorted(children)
        parents = children
    return found
