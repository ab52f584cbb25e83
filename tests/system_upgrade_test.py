"""Whole jobs of the installed daemon, with several real users: adoption of an old installation in
somebody's checkout, upgrades, a broken release, a rollback, and who may do what."""

import os
import pathlib
import pwd
import subprocess
import unittest

from system_fixture import LINK, STATE, SystemTestCase, must, run

NOT_AUTHORIZED = 4


class Upgrade(SystemTestCase):
    def test_an_old_installation_is_adopted_and_everybody_runs_the_release(self):
        self.assert_runs("1.0.0")
        said = self.mcpctl("upgrade")
        self.assertIn(f"adopted {LINK}, which was a link to {self.repository.path}/bin/demo", said)
        self.assertTrue(os.readlink(LINK).startswith(str(STATE)))
        for user in ("alice", "bob", "carol", None):
            self.assert_runs("1.0.0", user=user)

    def test_a_full_upgrade_runs_the_checks_as_the_checkouts_owner(self):
        self.mcpctl("upgrade")
        self.release_with_check("1.1.0", 'id -un > "$marks/who"; echo "$HOME" >> "$marks/who"')
        said = self.mcpctl("upgrade", "--full")
        self.assertIn("upgraded to 1.1.0", said)
        self.assert_runs("1.1.0")
        who, home = (self.marks / "who").read_text().split()
        self.assertEqual("alice", who)
        self.assertEqual("/home/alice", home)  # the last check goes through the entry point

    def test_nothing_in_a_users_home_changes_its_owner(self):
        before = owners("/home/alice")
        self.mcpctl("upgrade")
        self.release_with_check("1.1.0", 'echo "{}" > "$HOME/.demo/settings.json"')
        self.mcpctl("upgrade")
        after = owners("/home/alice")
        alice = pwd.getpwnam("alice").pw_uid
        self.assertEqual({alice}, set(after.values()))
        self.assertEqual({}, {path: uid for path, uid in before.items() if after.get(path) != uid})

    def test_a_broken_release_is_undone_for_everybody(self):
        self.mcpctl("upgrade")
        settings = self.settings.read_text()
        self.repository.release("1.1.0", {"bin/demo": "#!/bin/sh\nexit 3\n"})
        said = self.mcpctl("upgrade", "--full", status=1)
        self.assertIn("everything is as it was", said)
        self.assert_runs("1.0.0")
        self.assertEqual(settings, self.settings.read_text())

    def test_a_release_that_fails_after_changing_a_users_file_gives_it_back(self):
        self.mcpctl("upgrade")
        settings = self.settings.read_text()
        self.release_with_check("1.1.0", """
            if [ "$HOME" = /home/alice ]; then echo '{"servers": {}}' > "$HOME/.demo/settings.json"
              exit 5; fi""")
        self.mcpctl("upgrade", status=1)
        self.assertEqual(settings, self.settings.read_text())
        self.assertEqual("alice", self.settings.owner())
        self.assert_runs("1.0.0")

    def test_rollback_and_the_way_back_to_before(self):
        self.mcpctl("upgrade")
        self.repository.release("1.1.0")
        self.mcpctl("upgrade")
        self.mcpctl("rollback", user="bob")
        self.assert_runs("1.0.0")
        self.mcpctl("rollback", "--to", "before")
        self.assertEqual(f"{self.repository.path}/bin/demo", os.readlink(LINK))
        self.assert_runs("1.1.0")  # the checkout's

    def test_the_command_runs_while_the_daemon_is_down(self):
        self.mcpctl("upgrade")
        must("systemctl", "stop", "mcp-upgraded.socket", "mcp-upgraded.service")
        self.assert_runs("1.0.0")


class OldScripts(SystemTestCase):
    """/proc hides everybody's processes from the unit; systemd knows them."""

    SCRIPT = "#!/bin/bash\nwhile [ ! -e /tmp/marks/gate ]; do sleep 0.05; done\n"

    def setUp(self):
        super().setUp()
        self.mcpctl("upgrade")
        self.scripts = {f"scripts/{name}-upgrade.sh": self.SCRIPT for name in ("quick", "auto")}
        self.repository.release("1.1.0", self.scripts)

    def start(self, user, words, directory="/"):
        process = subprocess.Popen(words, cwd=directory, user=user, group=user, extra_groups=[],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.clients.append(process)
        return process

    def test_those_of_root_and_of_managed_users_are_named_and_nothing_is_changed(self):
        script = f"{self.repository.path}/scripts/auto-upgrade.sh"
        for user, words, directory in (
                ("root", ["bash", script, "--force"], "/"),
                ("alice", ["bash", "./auto-upgrade.sh"], f"{self.repository.path}/scripts")):
            with self.subTest(user):
                process = self.start(user, words, directory)
                for arguments in (["upgrade"], ["rollback", "--to", "before"]):
                    said = self.mcpctl(*arguments, status=1)
                    self.assertIn(f"the old script {script} runs", said)
                    self.assertIn(f"(process {process.pid})", said)
                self.assert_runs("1.0.0")
                self.open_gate()
                process.wait(20)
                (self.marks / "gate").unlink()
        self.mcpctl("upgrade")
        self.assert_runs("1.1.0")

    def test_a_strangers_does_not_count(self):
        pathlib.Path("/home/alice").chmod(0o755)
        self.start("carol", ["bash", f"{self.repository.path}/scripts/quick-upgrade.sh"])
        self.mcpctl("upgrade")
        self.assert_runs("1.1.0")
        self.open_gate()


class Rights(SystemTestCase):
    def test_the_group_may_upgrade_and_others_may_look(self):
        self.mcpctl("upgrade", status=NOT_AUTHORIZED, user="carol")
        self.mcpctl("status", user="carol")
        self.mcpctl("upgrade", user="bob")
        self.assertEqual("bob", self.last_job()["owner"])
        self.mcpctl("cancel", status=NOT_AUTHORIZED, user="carol")

    def test_nobody_else_can_read_the_state(self):
        self.mcpctl("upgrade")
        for path in (STATE / "snapshots", STATE / "jobs", STATE / "journal"):
            self.assertNotEqual(0, run("ls", str(path), user="carol").status, path)


def owners(directory):
    found = {}
    for path, names, files in os.walk(directory):
        for name in names + files:
            full = pathlib.Path(path) / name
            found[str(full)] = full.lstat().st_uid
    return found


if __name__ == "__main__":
    unittest.main()
