"""Services of the application: restarted with the new release, a regression when they do not come
up or do not stay up, and running again after the undo."""

import os
import pathlib
import pwd
import shutil
import signal
import time
import unittest

from daemon_fixture import Repository, wait_for
from system_fixture import SystemTestCase, must, run, show

UNIT = pathlib.Path("/run/systemd/system/demo-server.service")
USER_UNIT = pathlib.Path("/home/alice/.config/systemd/user/demo-tray.service")

SERVES = 'serve) echo "serving $version"; exec sleep infinity ;;'
FAILS = 'serve) echo "cannot bind"; exit 9 ;;'
FLAPS = 'serve) sleep 0.2; echo "lost it"; exit 9 ;;'


class Services(SystemTestCase):
    def setUp(self):
        super().setUp()
        self.offer("1.0.0", SERVES)
        UNIT.write_text("[Service]\nType=exec\nExecStart=/usr/local/bin/demo serve\n"
                        "Restart=always\nRestartSec=100ms\n", encoding="utf-8")
        must("systemctl", "daemon-reload")
        self.addCleanup(self.end_service)
        self.configure({"services": [UNIT.name]})
        self.mcpctl("upgrade")
        must("systemctl", "start", UNIT.name)

    def end_service(self):
        run("systemctl", "stop", UNIT.name)
        UNIT.unlink(missing_ok=True)
        run("systemctl", "daemon-reload")

    def offer(self, version, case):
        program = Repository.PROGRAM.replace("  status)", f"  {case}\n  status)")
        self.repository.release(version, {"bin/demo": program}, tag=False)

    def serving(self, unit=UNIT.name):
        """The release that the service's process runs."""
        must("journalctl", "--sync")
        lines = must("journalctl", f"_SYSTEMD_INVOCATION_ID={show(unit, 'InvocationID')}",
                     "--output=cat").splitlines()
        return [line.split()[1] for line in lines if line.startswith("serving ")]

    def test_a_running_service_is_restarted_with_the_new_release(self):
        before = show(UNIT.name, "MainPID")
        self.offer("1.1.0", SERVES)
        said = self.mcpctl("upgrade")
        self.assertIn(f"restarted service {UNIT.name} in", said)
        self.assertNotEqual(before, show(UNIT.name, "MainPID"))
        self.assertEqual(["1.1.0"], self.serving())

    def test_a_stopped_one_is_left_alone(self):
        must("systemctl", "stop", UNIT.name)
        self.offer("1.1.0", SERVES)
        self.assertIn(f"left service {UNIT.name} alone", self.mcpctl("upgrade"))
        self.assertEqual("inactive", show(UNIT.name, "ActiveState"))

    def test_one_that_fails_is_a_regression_and_its_lines_are_told(self):
        self.offer("1.1.0", FAILS)
        said = self.mcpctl("upgrade", status=1)
        self.assertIn(f"service {UNIT.name} does not run with the new release", said)
        self.assertIn(f"{UNIT.name}: cannot bind", said)
        self.assert_runs("1.0.0")
        self.assertEqual("active", show(UNIT.name, "ActiveState"))
        self.assertEqual(["1.0.0"], self.serving())
        self.assertIn("skipped", self.mcpctl("upgrade", "--unattended"))

    def test_one_that_flaps_is_a_regression(self):
        self.offer("1.1.0", FLAPS)
        said = self.mcpctl("upgrade", status=1)
        self.assertIn(f"service {UNIT.name} does not run with the new release", said)
        self.assertEqual(["1.0.0"], self.serving())

    def change_service(self, *lines, unit=()):
        """Another unit of the same name, started."""
        UNIT.write_text("\n".join(("[Unit]", *unit, "[Service]", "Type=exec", *lines, "")),
                        encoding="utf-8")
        must("systemctl", "daemon-reload")
        return run("systemctl", "restart", UNIT.name)

    def test_a_limit_of_starts_does_not_keep_it_down_after_the_undo(self):
        self.change_service("ExecStart=/usr/local/bin/demo serve",
                            unit=("StartLimitIntervalSec=60", "StartLimitBurst=2"))
        self.offer("1.1.0", FAILS)
        said = self.mcpctl("upgrade", status=1)
        self.assertIn("[SUCCESS] everything is as it was before this job\n", said)
        self.assertEqual(["1.0.0"], self.serving())
        self.assertNotIn("does not run since", self.mcpctl("status"))

    def test_one_that_does_not_run_after_the_undo_is_shown_until_it_does(self):
        self.change_service(f"ExecStartPre=/bin/sh -c '[ ! -e {self.marks}/broken ]'",
                            "ExecStart=/usr/local/bin/demo serve")
        (self.marks / "broken").touch()
        self.offer("1.1.0", SERVES)
        said = self.mcpctl("upgrade", status=1)
        but = f"but for service {UNIT.name}, which does not run"
        self.assertIn(f"[WARNING] everything is as it was before this job, {but}", said)
        self.assertRegex(said.splitlines()[-1], rf"\[ERROR\] .*everything is as it was, {but}")
        status = self.mcpctl("status")
        self.assertIn(f"service {UNIT.name} does not run since job 2 was undone", status)
        self.assertIn(f"'systemctl status {UNIT.name}' says why", status)
        (self.marks / "broken").unlink()
        must("systemctl", "start", UNIT.name)
        self.assertNotIn("does not run since", self.mcpctl("status"))

    def test_one_that_had_failed_before_is_left_alone(self):
        self.assertNotEqual(0, self.change_service("ExecStart=/no/such/program").status)
        wait_for(lambda: show(UNIT.name, "ActiveState") == "failed", "the failed unit")
        self.offer("1.1.0", SERVES)
        self.assertIn(f"left service {UNIT.name} alone: it was failed", self.mcpctl("upgrade"))
        self.assertEqual("failed", show(UNIT.name, "ActiveState"))

    def test_the_daemons_own_units_are_refused(self):
        for unit in ("mcp-upgraded.service", "mcp-upgrade.timer", "user:mcp-upgraded.socket"):
            self.configure({"services": [unit]})
            done = run("/usr/local/bin/mcpctl", "config", "validate")
            self.assertEqual(2, done.status, done.stdout)
            self.assertRegex(done.stderr, r"config\.json:\d+: /applications/demo/services/0: "
                                          r"is a unit of mcp-upgraded itself")

    def test_a_kill_after_the_restart_ends_with_the_old_release_serving(self):
        program = Repository.PROGRAM.replace("  status)", f"  {SERVES}\n  status)").replace(
            "--help) ", f'''--help) if [ -e "{self.marks}/activated" ]; then
            echo > "{self.marks}/waiting"; while :; do sleep 0.05; done; fi\n''').replace(
            "serving $version", f'serving $version"; echo > "{self.marks}/activated')
        self.repository.release("1.1.0", {"bin/demo": program})
        self.start_mcpctl("upgrade")
        wait_for((self.marks / "waiting").exists, "the check after the restart")
        self.assertEqual(["1.1.0"], self.serving())
        os.kill(self.main_pid(), signal.SIGKILL)
        wait_for(lambda: self.serving() == ["1.0.0"], "the old release's service")
        self.wait_settled()
        self.assertEqual("failed", self.last_job()["outcome"])

    def test_a_unit_that_is_not_there_is_refused_before_anything_changes(self):
        self.configure({"services": ["no-such.service"]})
        must("systemctl", "reload", "mcp-upgraded.service")
        self.offer("1.1.0", SERVES)
        said = self.mcpctl("upgrade", status=1)
        self.assertIn("the service no-such.service", said)
        self.assert_runs("1.0.0")


class UserServices(Services):
    def setUp(self):
        super().setUp()
        self.uid = pwd.getpwnam("alice").pw_uid
        drop_in = pathlib.Path("/run/systemd/system/user@.service.d/test.conf")
        drop_in.parent.mkdir(exist_ok=True)
        drop_in.write_text("[Service]\nEnvironment=XDG_RUNTIME_DIR=/run/user/%i\n")
        must("systemctl", "daemon-reload")
        self.log_in("alice")

    def log_in(self, user):
        """Starts a user's manager and, in it, a service of that user."""
        manager = f"user@{pwd.getpwnam(user).pw_uid}.service"
        self.write_unit(user, "Type=exec", "ExecStart=/usr/local/bin/demo serve")
        self.addCleanup(shutil.rmtree, f"/home/{user}/.config")
        must("systemctl", "start", manager)
        self.addCleanup(must, "systemctl", "stop", manager)
        self.of_user(user, "start", USER_UNIT.name)

    def write_unit(self, user, *lines):
        unit = pathlib.Path(str(USER_UNIT).replace("/alice/", f"/{user}/"))
        unit.parent.mkdir(parents=True, exist_ok=True)
        unit.write_text("\n".join(("[Service]", *lines, "")), encoding="utf-8")
        for path in (unit, *list(unit.parents)[:3]):
            shutil.chown(path, user, user)

    def of_user(self, user, *arguments):
        uid = pwd.getpwnam(user).pw_uid
        return must("systemctl", "--user", *arguments, user=user,
                    environment={"XDG_RUNTIME_DIR": f"/run/user/{uid}"})

    def of_alice(self, *arguments):
        return self.of_user("alice", *arguments)

    def pid(self):
        return self.of_alice("show", "--value", "--property=MainPID", USER_UNIT.name).strip()

    def test_a_users_own_service_is_restarted_through_that_users_manager(self):
        self.configure({"services": [f"user:{USER_UNIT.name}"]})
        must("systemctl", "reload", "mcp-upgraded.service")
        before = self.pid()
        self.offer("1.1.0", SERVES)
        said = self.mcpctl("upgrade")
        self.assertIn(f"restarted service {USER_UNIT.name} of alice", said)
        self.assertNotIn(self.pid(), ("0", before))
        self.offer("1.2.0", FAILS)
        said = self.mcpctl("upgrade", status=1)
        self.assertIn(f"service {USER_UNIT.name} of alice does not run", said)
        self.assertEqual("active", self.of_alice("show", "--value", "--property=ActiveState",
                                                 USER_UNIT.name).strip())

    def test_a_unit_of_a_user_who_may_fail_no_job_only_warns(self):
        self.log_in("carol")
        self.configure({"services": [f"user:{USER_UNIT.name}"]}, users=["carol", "alice"],
                       required_users=["alice"])
        must("systemctl", "reload", "mcp-upgraded.service")
        for version, lines in (
                ("1.1.0", ("Type=exec", "ExecStart=/no/such/program")),
                ("1.2.0", ("Type=notify", "TimeoutStartSec=infinity",
                           "ExecStart=/bin/sleep 1000"))):
            self.write_unit("carol", *lines)
            self.of_user("carol", "daemon-reload")
            self.offer(version, SERVES)
            begin = time.monotonic()
            said = self.mcpctl("upgrade")
            self.assertLess(time.monotonic() - begin, 60)
            self.assertRegex(said, rf"\[WARNING\] service {USER_UNIT.name} of carol does not run "
                                   r"with the new release: .*carol is not in required_users")
            self.assertIn(f"restarted service {USER_UNIT.name} of alice", said)
            self.assert_runs(version)
            self.write_unit("carol", "Type=exec", "ExecStart=/usr/local/bin/demo serve")
            self.of_user("carol", "daemon-reload")
            self.of_user("carol", "restart", USER_UNIT.name)

    def test_a_user_who_is_not_logged_in_has_nothing_to_restart(self):
        self.configure({"services": [f"user:{USER_UNIT.name}"]})
        must("systemctl", "reload", "mcp-upgraded.service")
        must("systemctl", "stop", f"user@{self.uid}.service")
        self.offer("1.1.0", SERVES)
        self.assertIn(f"left service {USER_UNIT.name} of alice alone", self.mcpctl("upgrade"))


def load_tests(loader, _tests, _pattern):
    """A user's tests are only those of its own, not the ones it inherits."""
    suite = loader.loadTestsFromTestCase(Services)
    for name in loader.getTestCaseNames(UserServices):
        if not hasattr(Services, name):
            suite.addTest(UserServices(name))
    return suite


if __name__ == "__main__":
    unittest.main()
