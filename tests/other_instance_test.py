#!/usr/bin/env python3
"""Options that name an instance, while the daemon that answers is another one: refused with both
values and what to do, never ignored. And a daemon that does not answer at all."""

import json
import signal
import subprocess
import unittest

from client_fixture import JobTestCase
from daemon_fixture import MCPCTL, SLOWNESS, Result

#: What mcpctl gives a short call, and what it takes itself.
PATIENCE = 30 + 20 * SLOWNESS


class OtherInstance(JobTestCase):
    def setUp(self):
        super().setUp()
        self.daemon.start()

    def ask(self, *arguments, config=None, state=None, socket=None):
        """Runs mcpctl with these options of the instance alone."""
        options = {"--config": config, "--state-dir": state, "--socket": socket}
        words = [str(word) for pair in options.items() if pair[1] for word in pair]
        done = subprocess.run([MCPCTL, *arguments, *words], text=True, capture_output=True, cwd="/",
                              env=self.sandbox.environment(), stdin=subprocess.DEVNULL, check=False)
        return Result(done.returncode, done.stdout, done.stderr)

    def assert_refused(self, done, option, wanted, used):
        self.assertEqual((2, ""), (done.status, done.stdout), done)
        self.assertIn(f"{used}, not {wanted}", done.stderr)
        self.assertIn(f"leave {option} out", done.stderr)
        self.assertIn(f"'kill {self.daemon.pid}'", done.stderr)

    def test_another_configuration_is_refused_with_both_files(self):
        here, root = self.sandbox.socket, self.sandbox.root
        valid = root / "valid.json"
        valid.write_text(self.sandbox.config_file.read_text())
        for file in ("/nonexist", valid):
            for command in (["status"], ["upgrade"], ["status", "--user"]):
                with self.subTest(file=file, command=command):
                    self.assert_refused(self.ask(*command, config=file, socket=here), "--config",
                                        file, self.sandbox.config_file)
        self.assertEqual([], self.json("jobs")[0]["jobs"])
        done = self.ask("status", "--json", config=valid, socket=here)
        error = json.loads(done.stdout)
        self.assertEqual((2, "Usage", "--config", str(valid), str(self.sandbox.config_file)),
                         (done.status, error["error"], error["option"], error["wanted"],
                          error["used"]))

    def test_another_state_directory_is_refused_with_both(self):
        state = self.sandbox.root / "other"
        self.assert_refused(self.ask("status", state=state, socket=self.sandbox.socket),
                            "--state-dir", state, self.sandbox.state)
        self.assertFalse(state.exists())

    def test_another_socket_is_refused_with_both(self):
        self.assert_refused(self.ask("status", state=self.sandbox.state, socket="/nonexist/s"),
                            "--socket", "/nonexist/s", self.sandbox.socket)

    def test_another_mode_is_refused(self):
        self.assert_refused(self.ask("status", "--system", socket=self.sandbox.socket), "--system",
                            "that of system mode", "that of user mode")

    def test_the_same_places_by_other_names_are_the_same(self):
        link = self.sandbox.root / "link"
        link.symlink_to(self.sandbox.root)
        done = self.ask("status", config=link / "config.json", state=link / "state",
                        socket=link / "socket")
        self.assertEqual(0, done.status, done.stderr)
        self.assertEqual(0, self.ask("status", state=self.sandbox.state).status)


class Silence(JobTestCase):
    def test_a_daemon_that_is_stopped_is_not_waited_for_without_end(self):
        self.install()
        self.daemon.signal(signal.SIGSTOP)
        self.addCleanup(self.daemon.signal, signal.SIGCONT)
        commands = (["status"], ["jobs"], ["releases"], ["pin", "1.0.0"], ["cancel"], ["logs", "1"],
                    ["upgrade", "--no-wait"])
        clients = [(words, self.start_mcpctl(*words)) for words in commands]
        # Without any of the options nobody asks first which instance answers.
        for words in commands:
            clients.append((words, subprocess.Popen(
                [MCPCTL, *words, "--socket", self.sandbox.socket], text=True, cwd="/",
                env=self.sandbox.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE)))
            self.clients.append(clients[-1][1])
        for words, client in clients:
            with self.subTest(words):
                _, said = client.communicate(timeout=PATIENCE)
                self.assertEqual(5, client.returncode, said)
                self.assertIn(f"the daemon at {self.sandbox.socket} has not answered", said)
                self.assertIn("end it", said)


if __name__ == "__main__":
    unittest.main()
