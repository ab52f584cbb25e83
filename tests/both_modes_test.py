#!/usr/bin/env python3
"""A system instance and a user's own on one machine, over the same home and the same command."""

import json
import os
import pathlib
import subprocess

from daemon_fixture import Daemon, Result, differences, listing, wait_for
from rights_fixture import DORA, CheckTestCase, own, process_rights, run_tests, uid_of



class UserInstance:
    """Dora's own instance of the system sandbox's programs, with the same application."""

    def __init__(self, sandbox):
        self.sandbox = sandbox
        self.home = sandbox.homes[DORA]
        self.root = self.home / "own"
        self.root.mkdir()
        self.config_file = self.root / "config.json"
        self.state = self.root / "state"
        self.socket = self.root / "socket"
        self.daemon = Daemon(self, ["--program-dir", str(sandbox.programs)])
        self.program = sandbox.programs / "as-dora"
        self.program.write_text(f"#!/bin/sh\nexec setpriv --reuid={DORA} --regid={DORA} --init-groups "
                                f'--inh-caps=-all "{sandbox.programs}/mcp-upgraded" "$@"\n')
        self.program.chmod(0o755)
        self.configure(self.home / "bin" / "demo")
        own(self.root, DORA)

    def configure(self, link):
        link.parent.mkdir(exist_ok=True)
        os.chown(link.parent, uid_of(DORA), -1)
        self.link = link
        application = self.sandbox.application(
            source=str(self.sandbox.repository.path),
            entry_points=[{"name": "demo", "path": "bin/demo", "link": str(link)}])
        self.config_file.write_text(json.dumps(
            {"format": 1, "idle_exit": 0, "applications": {"mcp": None, "demo": application}}))

    def start(self):
        self.daemon.start(program=self.program)

    def environment(self):
        return self.sandbox.environment() | {"HOME": str(self.home)}

    def instance_arguments(self):
        return ["--user", "--config", str(self.config_file), "--state-dir", str(self.state),
                "--socket", str(self.socket)]

    def mcpctl(self, *arguments):
        done = subprocess.run([self.sandbox.programs / "mcpctl", *arguments,
                               *self.instance_arguments()], env=self.environment(), text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=120,
                              check=False, cwd="/", **process_rights(DORA))
        return Result(done.returncode, done.stdout, done.stderr)


class BothModes(CheckTestCase):
    def setUp(self):
        super().setUp()
        self.sandbox.release("1.0")
        self.sandbox.adopt()
        self.own = UserInstance(self.sandbox)
        self.addCleanup(self.end_own)

    def end_own(self):
        if self.own.daemon.process:
            self.own.daemon.kill()

    def start_both(self):
        self.daemon.start()
        self.own.start()

    def assert_own(self, *arguments, status=0):
        done = self.own.mcpctl(*arguments)
        self.assertEqual(status, done.status, f"{arguments}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def test_each_upgrades_its_own_command(self):
        self.start_both()
        self.mcpctl("upgrade")
        self.assert_own("upgrade")
        for link, state in ((self.sandbox.links / "demo", self.sandbox.state),
                            (self.own.link, self.own.state)):
            self.assertTrue(os.readlink(link).startswith(str(state)))
        self.assertEqual("1.0", self.own_version())
        self.assert_runs("1.0")

    def own_version(self):
        if not self.own.link.is_symlink():
            return ""
        done = subprocess.run([self.own.link, "status"], text=True, capture_output=True, check=True,
                              env=self.own.environment(), **process_rights(DORA))
        return done.stdout.split()[1].rstrip(":")

    def test_while_the_systems_job_works_on_the_home_the_users_own_waits_and_says_so(self):
        self.start_both()
        self.gated_release("1.1")
        job, _ = self.start_gated()
        said = self.assert_own("upgrade", status=1)
        self.assertRegex(said, f"process.* holds .*, the lock on {self.own.home}: ")
        (self.marks / "gate").touch()
        self.assertEqual("done", self.wait_ended(job)["outcome"])
        self.assert_own("upgrade")
        self.assertEqual("1.1", self.own_version())

    def test_while_the_users_own_job_works_on_the_home_the_systems_waits_and_says_so(self):
        self.start_both()
        self.mcpctl("upgrade")
        self.gated_release("1.1")
        self.assert_own("upgrade", "--detach")
        wait_for((self.marks / "uid").exists, "the check's start")
        before = listing(self.sandbox.links)
        said = self.mcpctl("upgrade", status=1)
        self.assertRegex(said, f"process.* holds .*, the lock on {self.own.home}: ")
        self.assertEqual([], differences(before, listing(self.sandbox.links)))
        (self.marks / "gate").touch()
        wait_for(lambda: self.own_version() == "1.1", "the end of the user's job")
        self.mcpctl("upgrade")
        self.assert_runs("1.1")

    def test_a_command_of_the_other_instance_is_refused_by_name(self):
        place = self.sandbox.links / "demo"
        os.chown(self.sandbox.links, uid_of(DORA), -1)
        self.own.configure(place)
        self.sandbox.write_configuration({"source": str(self.sandbox.repository.path)})
        self.start_both()
        self.assert_own("upgrade")
        before = listing(self.sandbox.links)
        said = self.mcpctl("upgrade", status=1)
        self.assertIn(f"{place} belongs to another instance", said)
        self.assertIn(str(self.own.state), said)
        self.assertEqual([], differences(before, listing(self.sandbox.links)))
        self.assert_own("rollback", "--to", "before")
        self.mcpctl("upgrade")
        said = self.assert_own("upgrade", status=1)
        self.assertIn(str(self.sandbox.state), said)
        self.assertTrue(os.readlink(place).startswith(str(self.sandbox.state)))
        self.assertTrue(pathlib.Path(place).is_symlink())


if __name__ == "__main__":
    run_tests()
