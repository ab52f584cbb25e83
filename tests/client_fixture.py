"""What tests of jobs and clients stand on: a release whose check waits until it is let go, one
whose check never ends, a bare Varlink connection, and daemons that mcpctl started."""

import contextlib
import json
import os
import pathlib
import select
import signal
import socket
import subprocess

from daemon_fixture import MCPCTL, DaemonTestCase, Repository, listing, wait_for

INTERFACE = "dev.mcplocal.Upgrade."


def serving_pid(state):
    """The daemon that serves a state directory, as its lock names it; None when it has gone."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        pid = json.loads((pathlib.Path(state) / "lock").read_text())["pid"]
        with open(f"/proc/{pid}/cmdline", "rb") as command:
            if os.fsencode(state) in command.read():
                return pid
    return None


def end_serving(state, number=signal.SIGKILL, seconds=20):
    """Ends the daemon that serves a state directory, if there is one."""
    pid = serving_pid(state)
    if pid is None:
        return
    with contextlib.suppress(ProcessLookupError):
        process = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(process, number)
            assert select.select([process], [], [], seconds)[0], f"signal {number} did not end it"
        finally:
            os.close(process)


def is_running(pid):
    """Whether a process does anything yet: a zombie does not."""
    try:
        status = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rsplit(")", 1)[1].split()[0] != "Z"


class Peer:
    """A Varlink connection that says exactly what it is told to."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(str(path))
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, method, more=False, **parameters):
        message = {"method": INTERFACE + method, "parameters": parameters, "more": more}
        self.socket.sendall(json.dumps(message).encode() + b"\0")

    def receive(self):
        while b"\0" not in self.rest:
            data = self.socket.recv(65536)
            assert data, "the daemon closed the connection"
            self.rest += data
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **parameters):
        self.send(method, **parameters)
        return self.receive()

    def stream(self, method, **parameters):
        """All replies to one call with `more`."""
        self.send(method, more=True, **parameters)
        replies = [self.receive()]
        while replies[-1].get("continues"):
            replies.append(self.receive())
        return replies


class JobTestCase(DaemonTestCase):
    """Release 1.0.0 is installed; the next one's check waits for open_gate()."""

    #: What a job may change although it comes to nothing.
    CHANGING = ("marks", "daemon.out", "notify", "socket", "config.json", "demo", "state/jobs",
                "state/state.json", "state/lock", "state/journal", "state/scratch",
                "state/daemon.log")

    def setUp(self):
        super().setUp()
        self.addCleanup(end_serving, self.sandbox.state)
        self.marks = self.sandbox.root / "marks"
        self.marks.mkdir()
        self.clients = []
        self.addCleanup(self.end_clients)
        self.repository.release("1.0.0")

    def install(self):
        """Starts the daemon and installs release 1.0.0."""
        self.daemon.start()
        self.mcpctl("upgrade")

    def end_clients(self):
        for client in self.clients:
            client.kill()
            client.communicate()

    def release_with_check(self, version, script):
        """A release whose --help runs `script` first."""
        program = Repository.PROGRAM.replace(
            "--help) ", f'--help) marks="{self.marks}"\n{script}\n')
        assert program != Repository.PROGRAM
        self.repository.release(version, {"bin/demo": program})

    def gated_release(self, version="1.1.0"):
        self.release_with_check(version, """
            echo > "$marks/waiting"
            while [ ! -e "$marks/gate" ]; do sleep 0.02; done""")

    def hanging_release(self, version="1.1.0"):
        """Its check ignores SIGTERM, and so does a process that it started in another session."""
        self.release_with_check(version, """
            trap '' TERM HUP INT
            setsid sh -c 'trap "" TERM HUP INT; echo $$ > "$0/new"; mv "$0/new" "$0/grandchild"
                          while :; do sleep 0.1; done' "$marks" &
            while [ ! -e "$marks/grandchild" ]; do sleep 0.02; done
            echo > "$marks/waiting"
            while :; do sleep 0.1; done""")

    def wait_until_checking(self):
        wait_for((self.marks / "waiting").exists, "the check's start")

    def open_gate(self):
        (self.marks / "gate").touch()

    def start_mcpctl(self, *arguments):
        client = subprocess.Popen(
            [MCPCTL, *arguments, *self.sandbox.instance_arguments()], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/",
            env=self.sandbox.environment())
        self.clients.append(client)
        return client

    def start_gated_upgrade(self):
        """Queues an upgrade to the gated release and waits until it runs its check; its number."""
        self.gated_release()
        job = self.json("upgrade", "--detach")[0]["job"]
        self.wait_until_checking()
        return job

    def json(self, *arguments, status=0):
        found, lines = self.sandbox.mcpctl_json(*arguments)
        self.assertEqual(status, found, f"{arguments}: {lines}")
        return lines

    def status(self):
        return self.json("status")[0]

    def job(self, number):
        return next(job for job in self.json("jobs")[0]["jobs"] if job["job"] == number)

    def wait_ended(self, number):
        """Waits for a job's end as its record on disk tells it; returns its outcome."""
        record = self.sandbox.state / "jobs" / str(number) / "job.json"

        def ended():
            return json.loads(record.read_text()).get("result")
        result = wait_for(ended, f"the end of job {number}")
        wait_for(lambda: not (self.sandbox.state / "journal").exists(), "the journal's end")
        return result["outcome"]

    def everything(self):
        return listing(self.sandbox.root, ignore=self.CHANGING)

    def peer(self):
        return Peer(self.sandbox.socket)
