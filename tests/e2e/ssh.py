"""A private sshd on loopback, and the client's command line."""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ENVIRONMENT = ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "PYTHONPATH")
"""What the program needs on the far side, too."""

os.environ["PATH"] += os.pathsep + "/usr/sbin"


def needs(*programs: str) -> None:
    """Skip the test where a program is missing; fail in CI, where all have to be there."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"not installed: {', '.join(missing)}")
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


class Sshd:
    """An sshd whose configuration, keys and log are in `folder`. The only one who may log in is who runs it."""

    def __init__(self, folder: Path) -> None:
        needs("sshd", "ssh", "ssh-keygen")
        self.folder = folder
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
        shutil.copy(folder / "user.pub", folder / "authorized")
        if os.geteuid() == 0:
            # Where sshd, as root, shuts its unprivileged half in.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        lines = [
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {folder}/host",
            f"AuthorizedKeysFile {folder}/authorized",
            f"PidFile {folder}/pid",
            "StrictModes no",
            "UsePAM no",
            "PermitRootLogin prohibit-password",
        ]
        (folder / "config").write_text("\n".join(lines) + "\n")
        sshd = shutil.which("sshd")
        assert sshd is not None
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen([sshd, "-D", "-e", "-f", str(folder / "config")], stderr=log)
        self._wait()

    def _wait(self) -> None:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError((self.folder / "log").read_text())

    def command(self, *arguments: str, folder: Path | None = None, key: Path | None = None) -> list[str]:
        """Return the client's command that runs tuivis in `folder`; the program's id goes to the file `pid` there."""
        folder = folder or self.folder
        settings = [f"{name}={os.environ[name]}" for name in ENVIRONMENT if name in os.environ]
        program = shlex.join(["env", *settings, sys.executable, "-m", "tuivis", *arguments])
        remote = f"cd {shlex.quote(str(folder))} && echo $$ > pid && exec {program}"
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "IdentitiesOnly=yes"]
        pairs = [word for option in options for word in ("-o", option)]
        user = f"{getpass.getuser()}@127.0.0.1"
        identity = str(key or self.folder / "user")
        return ["ssh", "-F", "none", "-tt", "-i", identity, "-p", str(self.port), *pairs, user, remote]

    def close(self) -> None:
        """End the server; its connections go on."""
        self.process.terminate()
        self.process.wait(10)


def program_id(folder: Path) -> int:
    """Return the id of the program that `Sshd.command` started."""
    for _ in range(400):
        text = (folder / "pid").read_text() if (folder / "pid").exists() else ""
        if text.endswith("\n"):
            return int(text)
        time.sleep(0.05)
    raise AssertionError("it never started")
