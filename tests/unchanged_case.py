"""For tests of what is refused: everything of an instance is listed with digests, modes, owners and
link targets before and after, and compared.

What may change, and nothing else:
- the socket, the lock (it names the process) and what the daemon prints;
- new directories state/jobs/N, the record and log of the job that was asked for;
- in state/state.json the number of the next job, and what was learnt of the newest version.
"""

import contextlib
import json
import os
import signal
import socket

from daemon_fixture import DaemonTestCase, listing, wait_for

ASIDE = ("socket", "notify", "daemon.out", "state/lock", "state/state.json")


def stored_state(sandbox):
    """state.json without what a refused job may change."""
    path = sandbox.state / "state.json"
    if not path.exists():
        return {}
    document = json.loads(path.read_text(encoding="utf-8"))
    document.pop("next_job")
    for application in document["applications"].values():
        application.pop("newest", None)
    empty = {"health": {}, "history": [], "holds": {}, "pins": []}
    document["applications"] = {name: one for name, one in document["applications"].items()
                                if one != empty}
    return document


class UnchangedCase(DaemonTestCase):
    """Starts with version 1.0.0 installed and a daemon that runs."""

    install = True

    def setUp(self):
        super().setUp()
        if self.install:
            self.repository.release("1.0.0")
            self.daemon.start()
            self.mcpctl("upgrade")

    @contextlib.contextmanager
    def nothing_changes(self, jobs=0):
        """Asserts that what is done inside changes nothing but what is named above, and makes
        exactly this number of jobs."""
        before, state = listing(self.sandbox.root, ASIDE), stored_state(self.sandbox)
        yield
        after = listing(self.sandbox.root, ASIDE)
        made = {path for path in after if path.startswith("state/jobs/") and path not in before}
        for path in made:
            del after[path]
        self.assert_same(before, after)
        self.assertEqual(state, stored_state(self.sandbox))
        self.assertEqual(jobs, len({path.split("/")[2] for path in made}), sorted(made))
        if self.install:
            self.assertIn("hello from demo 1.0.0", self.sandbox.demo().stdout)

    def refused(self, *arguments, status=1, says=(), jobs=1):
        """Runs mcpctl, which must fail with this exit code, say all of these words and change
        nothing. Returns what it said."""
        with self.nothing_changes(jobs):
            done = self.sandbox.mcpctl(*arguments)
            said = done.stdout + done.stderr
            self.assertEqual(status, done.status, said)
            for words in [says] if isinstance(says, str) else says:
                self.assertIn(words, said)
        return said

    def connect(self):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(20)
        connection.connect(str(self.sandbox.socket))
        self.addCleanup(connection.close)
        return connection

    def end_started_daemon(self):
        """Ends the daemon that mcpctl started on demand for this sandbox, if there is one."""
        with contextlib.suppress(OSError, ValueError):
            pid = json.loads((self.sandbox.state / "lock").read_text())["pid"]
            with open(f"/proc/{pid}/cmdline", "rb") as command:
                if os.fsencode(self.sandbox.state) not in command.read().split(b"\0"):
                    return
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "the end of the daemon")
