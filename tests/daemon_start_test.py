"""How the daemon starts, refuses to start, reads its configuration again and ends."""

import fcntl
import json
import os
import signal
import unittest

from daemon_fixture import DaemonTestCase, listing, wait_for


class DaemonStart(DaemonTestCase):
    def test_it_starts_says_that_it_is_ready_and_ends_on_sigterm(self):
        self.daemon.start()
        self.assertEqual("socket", self.sandbox.socket.name)
        self.assertTrue(self.sandbox.socket.is_socket())
        self.assertEqual(0, self.daemon.stop())

    def test_its_state_directory_is_private_and_its_lock_names_it(self):
        self.daemon.start()
        found = listing(self.sandbox.state)
        self.assertEqual("0o40700", found["."]["mode"])
        lock = json.loads((self.sandbox.state / "lock").read_text())
        self.assertEqual({"format": 1, "pid": self.daemon.pid, "socket": str(self.sandbox.socket)},
                         lock)

    def test_a_second_daemon_is_refused_and_told_of_the_first(self):
        self.daemon.start()
        before = listing(self.sandbox.state)
        second = self.daemon.run()
        self.assertEqual(1, second.status)
        self.assertIn(str(self.daemon.pid), second.stderr)
        self.assertIn(str(self.sandbox.socket), second.stderr)
        self.assert_same(before, listing(self.sandbox.state))

    def test_what_else_holds_its_lock_is_named(self):
        self.daemon.start()
        self.daemon.stop()
        with open(self.sandbox.state / "lock", "r+b") as lock:
            fcntl.lockf(lock, fcntl.LOCK_EX)
            refused = self.daemon.run()
        self.assertEqual(1, refused.status)
        program = os.path.basename(os.readlink("/proc/self/exe"))
        self.assertIn(f"process {os.getpid()} ({program}) holds {self.sandbox.state}/lock;",
                      refused.stderr)

    def test_it_starts_again_after_it_was_killed(self):
        self.daemon.start()
        self.assertEqual(-signal.SIGKILL, self.daemon.kill())
        self.assertTrue(self.sandbox.socket.exists())
        self.daemon.start()
        self.assertEqual(0, self.daemon.stop())

    def test_a_mistake_in_the_configuration_is_told_and_nothing_is_made(self):
        self.sandbox.config_file.write_text('{\n  "grup": "ops"\n}')
        for arguments in ([], ["--check-config"]):
            done = self.daemon.run(*arguments)
            self.assertEqual(2, done.status)
            self.assertIn(f'{self.sandbox.config_file}:2: /grup: is not a known key; '
                          'did you mean "group"?', done.stderr)
        self.assertFalse(self.sandbox.state.exists())

    def test_the_effective_configuration_can_be_shown_and_read_back(self):
        done = self.daemon.run("--check-config")
        self.assertEqual(0, done.status, done.stderr)
        self.assertEqual(["demo"], [name for name, value
                                    in json.loads(done.stdout)["applications"].items() if value])
        self.sandbox.config_file.write_text(done.stdout)
        self.assertEqual(done.stdout, self.daemon.run("--check-config").stdout)

    def test_a_misspelt_option_is_told_with_the_programs_name(self):
        done = self.daemon.run("--nonsense")
        self.assertEqual(2, done.status)
        self.assertRegex(done.stderr, "^mcp-upgraded: .*--nonsense.*; see mcp-upgraded --help\n$")

    def test_a_misspelt_option_and_help_change_nothing(self):
        before = listing(self.sandbox.root)
        self.assertEqual(2, self.daemon.run("--chek-config").status)
        self.assertEqual(0, self.daemon.run("--help").status)
        self.assertEqual(0, self.daemon.run("--version").status)
        self.assert_same(before, listing(self.sandbox.root))

    def test_a_bad_file_at_reload_keeps_the_configuration(self):
        self.daemon.start()
        good = self.sandbox.config_file.read_text()
        self.sandbox.config_file.write_text("{")
        self.daemon.signal(signal.SIGHUP)
        wait_for(lambda: "stays as it was" in self.daemon.printed(), "the refusal")
        self.sandbox.config_file.write_text(good)
        self.daemon.signal(signal.SIGHUP)
        wait_for(lambda: "read the configuration again" in self.daemon.printed(), "the reload")
        self.assertEqual(0, self.daemon.stop())

    def test_in_user_mode_an_edited_file_counts_from_the_next_request_on(self):
        self.daemon.start()
        good = self.sandbox.config_file.read_text()
        self.sandbox.config_file.write_text(good.replace("{", '{ "colour": 1,', 1))
        told = self.sandbox.mcpctl("status")
        self.assertRegex(told.stdout, "colour.*stays as it was")
        self.assertNotIn("reload it", told.stdout)
        self.sandbox.write_configuration(idle_exit=77)
        self.assertIn('"idle_exit": 77', self.sandbox.mcpctl("config", "show").stdout)
        self.assertNotIn("stays as it was", self.sandbox.mcpctl("status").stdout)

    def test_it_leaves_when_nobody_needs_it(self):
        self.sandbox.write_configuration(idle_exit=1)
        self.daemon.start()
        self.assertEqual(0, self.daemon.wait())


if __name__ == "__main__":
    unittest.main()
