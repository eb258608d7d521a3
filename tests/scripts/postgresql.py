"""A PostgreSQL server of a test's own: Debian's, in a folder of its own, as a user that is not root."""

import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile


class Server:
    """Runs as a context; what it holds is gone at the end.

    Attributes:
      url: Of an empty database, by a socket in the folder.
    """

    def __init__(self):
        found = [*pathlib.Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")]  # Debian's are on no PATH
        self._programs = max(found, key=lambda path: int(path.parts[-3])).parent
        # PostgreSQL refuses root; its package makes this user.
        self._user = pwd.getpwnam("postgres") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="sql-"))  # a socket's path has 107 characters at most
        os.chown(self._folder, self._user.pw_uid, self._user.pw_gid)
        self._data = self._folder / "data"
        self.url = f"postgresql://{self._user.pw_name}@/postgres?host={self._folder}"

    def __enter__(self) -> "Server":
        self._call("initdb", "--auth=trust", "--encoding=UTF8", "--locale=C")
        self._control("start")
        return self

    def __exit__(self, *_) -> None:
        self._control("stop")
        shutil.rmtree(self._folder)

    def restart(self) -> None:
        """Has every process of the server die where it is; then it recovers from its log."""
        self._control("restart")

    def send(self, number: signal.Signals) -> None:
        """Sends every process of the server a signal."""
        first = int((self._data / "postmaster.pid").read_text().splitlines()[0])
        os.kill(first, number)
        for child in pathlib.Path(f"/proc/{first}/task/{first}/children").read_text().split():
            os.kill(int(child), number)

    def _control(self, action: str) -> None:
        mode = [] if action == "start" else ["--mode=immediate"]
        options = f"-k {self._folder} -c listen_addresses="
        self._call("pg_ctl", action, *mode, "--wait", f"--log={self._folder / 'log'}", f"--options={options}")

    def _call(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._programs / program, f"--pgdata={self._data}", *arguments],
            cwd=self._folder,
            user=self._user.pw_uid,
            group=self._user.pw_gid,
            extra_groups=[],
            stdout=subprocess.DEVNULL,  # the server keeps it open
            stderr=open(self._folder / "errors", "a+"),
        )
        assert done.returncode == 0, (self._folder / "errors").read_text()
