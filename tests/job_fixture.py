"""What the tests of whole jobs have in common beyond the daemon's fixture: releases that behave as
a test wants them to, a job in the background, and looks at the daemon without mcpctl.
"""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess

from daemon_fixture import MCPCTL, DaemonTestCase, wait_for


def behaviour(version, code):
    """Files of a release that runs `code` at the start of every command; $1 is the command."""
    return {"lib/greeting.sh": f"greeting_version={version}\ngreeting=hello\n{code}\n"}


def failing(version, command="status", code="exit 7"):
    """A release whose command fails."""
    return behaviour(version, f'if [ "$1" = "{command}" ]; then {code}; fi')


def call(path, method, **parameters):
    """The parameters of one reply of the daemon, asked without mcpctl."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(20)
        connection.connect(str(path))
        request = {"method": "dev.mcplocal.Upgrade." + method, "parameters": parameters}
        connection.sendall(json.dumps(request).encode() + b"\0")
        reply = b""
        while not reply.endswith(b"\0"):
            piece = connection.recv(65536)
            if not piece:
                raise ConnectionError("the daemon hung up")
            reply += piece
    return json.loads(reply[:-1])["parameters"]


class JobTestCase(DaemonTestCase):
    def setUp(self):
        super().setUp()
        self.addCleanup(self.end_other_daemon)

    def end_other_daemon(self):
        """A client whose daemon died starts another one, which is not the fixture's process."""
        with contextlib.suppress(OSError, ValueError):
            pid = json.loads((self.sandbox.state / "lock").read_text())["pid"]
            command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            ours = self.daemon.process is not None and self.daemon.pid == pid
            if not ours and os.fsencode(self.sandbox.state) in command:
                os.kill(pid, signal.SIGKILL)

    def install_first_release(self):
        self.repository.release("1.0")
        self.daemon.start()
        self.mcpctl("upgrade")

    def adopt_checkout(self):
        """The application as it was installed of old: as a link into its checkout."""
        self.repository.release("1.0")
        self.link = self.sandbox.links / "demo"
        self.link.symlink_to(self.repository.path / "bin" / "demo")
        self.assert_runs("1.0")
        self.daemon.start()

    def assert_runs(self, *versions, arguments=("status",)):
        """The command on PATH runs, completely, as one of these versions."""
        done = self.sandbox.demo(*arguments)
        self.assertEqual(0, done.status, done.stderr)
        self.assertIn(done.stdout.split()[1].rstrip(":"), versions)

    def begin(self, *arguments):
        """mcpctl in the background."""
        process = subprocess.Popen([MCPCTL, *arguments, *self.sandbox.instance_arguments()],
                                   env=self.sandbox.environment(), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                   cwd="/")
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()

    def events(self, job):
        with contextlib.suppress(FileNotFoundError):
            return (self.sandbox.state / "jobs" / str(job) / "events.ndjson").read_text()
        return ""

    def running(self):
        return [job for job in call(self.sandbox.socket, "Jobs")["jobs"]
                if job["state"] in ("running", "recovering")]

    def wait_idle(self):
        wait_for(lambda: not self.running() and not (self.sandbox.state / "journal").exists(),
                 "an idle daemon")

    @staticmethod
    def wait_for_file(path):
        wait_for(path.exists, f"{path.name} to be made")

    def block_checks(self):
        """Makes 1.1 wait in its checks until the returned file is made. `waits` exists then."""
        gate, waits = self.sandbox.root / "gate", self.sandbox.root / "waits"
        self.repository.release("1.1", behaviour(
            "1.1", f': > "{waits}"; until [ -e "{gate}" ]; do sleep 0.02; done'))
        return gate, waits
