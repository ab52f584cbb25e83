"""The units: activation by the socket, start, stop, reload, kill, watchdog, and the timer's run."""

import json
import os
import pathlib
import signal
import subprocess
import time
import unittest

from daemon_fixture import wait_for
from system_fixture import (CONFIG, LINK, SERVICE, SOCKET, STATE, SystemTestCase, must, run, show)

#: Within this a daemon that was asked to stop has finished or undone its job and gone.
STOP_SECONDS = 20


class Installed(SystemTestCase):
    def test_every_unit_is_sound_and_nothing_is_enabled_by_itself(self):
        for unit in (SERVICE, SOCKET, "mcp-upgraded-recovery.service", "mcp-upgrade.service",
                     "mcp-upgrade.timer"):
            self.assertEqual("", run("systemd-analyze", "verify", unit).stderr)
            state = run("systemctl", "is-enabled", unit).stdout.strip()
            self.assertIn(state, ("disabled", "static", "indirect"))
        for unit in (SERVICE, SOCKET):
            done = run("systemd-analyze", "--user", "verify", unit,
                       environment={"XDG_RUNTIME_DIR": "/run"})
            self.assertEqual("", done.stderr)

    def test_the_group_and_the_users_are_there_and_can_do_nothing_else(self):
        must("getent", "group", "mcp-upgrade")
        for user in ("mcp-upgrade-source", "mcp-upgrade-check", "mcp-upgrade-timer"):
            entry = must("getent", "passwd", user).strip().split(":")
            self.assertTrue(entry[6].endswith("nologin"), entry)
            self.assertEqual([user], must("id", "-Gn", user).split())

    def test_enabling_the_socket_has_an_interrupted_job_recovered_at_boot(self):
        must("systemctl", "enable", SOCKET)
        self.addCleanup(must, "systemctl", "disable", SOCKET, "mcp-upgraded-recovery.service")
        for unit in (SOCKET, "mcp-upgraded-recovery.service"):
            self.assertEqual("enabled", must("systemctl", "is-enabled", unit).strip())


class Activation(SystemTestCase):
    def test_the_first_request_starts_the_daemon(self):
        self.assertEqual("inactive", show(SERVICE, "ActiveState"))
        self.mcpctl("status", user="carol")
        self.assertEqual("active", show(SERVICE, "ActiveState"))
        self.assertEqual("idle", self.status_text())

    def test_a_request_while_the_daemon_is_dead_is_answered_by_the_next_one(self):
        self.mcpctl("status")
        first = self.main_pid()
        os.kill(first, signal.SIGSTOP)  # connections are queued from here on
        before = connections()
        client = self.start_mcpctl("status", "--json")
        wait_for(lambda: connections() > before, "the request")
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: self.main_pid() not in (0, first), "the next daemon")
        second = self.start_mcpctl("status", "--json")
        output, _ = second.communicate(timeout=30)
        self.assertEqual(0, second.returncode, output)
        self.assertEqual(self.main_pid(), json.loads(output)["instance"]["pid"])
        output, _ = client.communicate(timeout=30)
        self.assertEqual(0, client.returncode, output)

    def test_stopping_the_socket_takes_its_file_along(self):
        self.mcpctl("status")
        must("systemctl", "stop", SOCKET, SERVICE)
        self.assertFalse(pathlib.Path("/run/mcp-upgraded/socket").exists())


class Jobs(SystemTestCase):
    def test_the_status_text_says_job_and_phase(self):
        client = self.start_gated_upgrade()
        self.assertRegex(self.status_text(), r"^job 1 \(upgrade\): mid-check")
        self.open_gate()
        self.assertEqual(0, client.wait(60))
        self.wait_settled()

    def test_a_stop_in_any_phase_finishes_or_undoes_within_its_time(self):
        self.mcpctl("upgrade")
        version = "1.0.0"
        for minor, step in enumerate(("stage", "snapshot", "mid-check", "activate", "record-after"),
                                     start=1):
            offered = f"1.{minor}.0"
            self.repository.release(offered)
            self.start_mcpctl("upgrade")
            wait_for(lambda wanted=step: begun(wanted) or self.ended(offered), f"step {step}")
            begin = time.monotonic()
            must("systemctl", "stop", SERVICE)
            self.assertLess(time.monotonic() - begin, STOP_SECONDS)
            self.assertEqual("success", show(SERVICE, "Result"))
            self.assertFalse((STATE / "journal").exists())
            version = offered if self.last_job()["outcome"] == "done" else version
            self.assert_runs(version)

    def ended(self, version):
        return run("demo", "status").stdout.startswith(f"demo {version}:")

    def test_a_restart_in_the_middle_undoes_and_goes_on(self):
        client = self.start_gated_upgrade()
        begin = time.monotonic()
        must("systemctl", "restart", SERVICE)
        self.assertLess(time.monotonic() - begin, STOP_SECONDS)
        client.wait(60)
        self.assertEqual("cancelled", self.last_job()["outcome"])
        self.assertEqual(str(self.repository.path / "bin" / "demo"), os.readlink(LINK))
        self.open_gate()
        self.mcpctl("upgrade")
        self.assert_runs("1.1.0")

    def test_a_killed_daemon_is_started_again_and_undoes_the_job(self):
        client = self.start_gated_upgrade()
        first = self.main_pid()
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: self.main_pid() not in (0, first), "the next daemon")
        self.wait_settled()
        client.wait(60)
        self.assertEqual("failed", self.last_job()["outcome"])
        self.assertEqual(str(self.repository.path / "bin" / "demo"), os.readlink(LINK))

    def test_a_journal_starts_the_daemon_at_boot(self):
        self.start_gated_upgrade()
        self.change_unit("Restart=no")
        os.kill(self.main_pid(), signal.SIGKILL)
        wait_for(lambda: show(SERVICE, "ActiveState") == "failed", "the daemon's end")
        self.assertTrue((STATE / "journal").exists())
        for client in self.clients:
            client.kill()
        must("systemctl", "reset-failed", SERVICE)
        must("systemctl", "start", "mcp-upgraded-recovery.service")
        self.wait_settled()
        self.assertEqual("failed", self.last_job()["outcome"])
        must("systemctl", "stop", SERVICE)
        must("systemctl", "start", "mcp-upgraded-recovery.service")
        self.assertEqual("no", show("mcp-upgraded-recovery.service", "ConditionResult"))
        self.assertEqual("inactive", show(SERVICE, "ActiveState"))


class Watchdog(SystemTestCase):
    def test_it_leaves_a_daemon_at_work_alone(self):
        self.change_unit("WatchdogSec=1")
        client = self.start_gated_upgrade()
        pid = self.main_pid()
        with self.assertRaises(subprocess.TimeoutExpired):
            client.wait(3.5)  # several times the watchdog's interval
        self.assertEqual(pid, self.main_pid())
        self.open_gate()
        self.assertEqual(0, client.wait(60))

    def test_a_daemon_that_answers_no_more_is_ended_and_the_next_one_recovers(self):
        self.change_unit("WatchdogSec=1")
        self.start_gated_upgrade()
        first = self.main_pid()
        os.kill(first, signal.SIGSTOP)
        wait_for(lambda: self.main_pid() not in (0, first), "the next daemon", 60)
        self.wait_settled()
        self.assertEqual("failed", self.last_job()["outcome"])
        self.assertEqual(str(self.repository.path / "bin" / "demo"), os.readlink(LINK))


class Reload(SystemTestCase):
    def test_a_good_configuration_is_in_force_when_the_reload_is_done(self):
        self.mcpctl("status")
        pid = self.main_pid()
        self.configure(retention={"quick": 9, "full": 3})
        must("systemctl", "reload", SERVICE)
        shown = self.mcpctl_json("config", "show")[0]
        self.assertEqual(9, shown["configuration"]["retention"]["quick"])
        self.assertEqual(pid, self.main_pid())

    def test_a_bad_configuration_fails_the_reload_and_the_old_one_stays(self):
        self.mcpctl("status")
        pid = self.main_pid()
        CONFIG.write_text('{\n  "format": 1,\n  "retention": {"quick": "many"}\n}\n')
        done = run("systemctl", "reload", SERVICE)
        self.assertNotEqual(0, done.status)
        must("journalctl", "--sync")
        said = must("journalctl", f"--unit={SERVICE}", "--output=cat")
        self.assertIn(f"{CONFIG}:3", said)
        wait_for(lambda: f"{CONFIG}:3" in show(SERVICE, "StatusText"), "the status")
        self.assertEqual("active", show(SERVICE, "ActiveState"))
        self.assertEqual(pid, self.main_pid())
        shown = self.mcpctl_json("config", "show")[0]
        self.assertEqual(5, shown["configuration"]["retention"]["quick"])


class Timer(SystemTestCase):
    def run_unattended(self, well=True):
        """Runs the timer's unit; what that left in the journal, as its group may read it."""
        cursor = must("journalctl", "--lines=0", "--show-cursor").split("cursor: ")[-1].strip()
        self.assertEqual(well, run("systemctl", "start", "mcp-upgrade.service").status == 0)
        must("journalctl", "--sync")
        return must("journalctl", f"--after-cursor={cursor}", "--unit=mcp-upgrade.service",
                    "--output=cat")

    def test_it_is_randomized_and_persistent(self):
        must("systemctl", "start", "mcp-upgrade.timer")
        self.assertEqual("yes", show("mcp-upgrade.timer", "Persistent"))
        self.assertEqual("6h", show("mcp-upgrade.timer", "RandomizedDelayUSec"))

    def test_its_run_upgrades_and_leaves_out_what_is_held_or_denied(self):
        self.mcpctl("upgrade")
        self.repository.release("1.1.0")
        self.mcpctl("hold")
        self.run_unattended()
        self.assert_runs("1.0.0")
        self.mcpctl("unhold")
        self.run_unattended()
        self.assert_runs("1.1.0")
        self.repository.release("1.2.0", {"bin/demo": "#!/bin/sh\nexit 1\n"})
        self.run_unattended(well=False)
        self.run_unattended()  # denied by now
        self.assert_runs("1.1.0")

    def test_the_journal_says_what_came_of_it_and_no_details_of_a_home(self):
        self.mcpctl("upgrade")
        self.repository.release("1.1.0")
        said = self.run_unattended()
        self.assertRegex(said, r"\[SUCCESS\] upgraded to 1\.1\.0-")
        self.assertIn("upgraded to 1.1.0-", run("systemctl", "status", "mcp-upgrade.service").stdout)
        self.assertIn("configuration files of alice", self.mcpctl("logs", "2"))
        self.repository.release("1.2.0", {"bin/demo": "#!/bin/sh\necho my-secret\nexit 1\n"})
        said += self.run_unattended(well=False)
        reason = "check 'demo --help' failed: exit code 1; everything is as it was"
        self.assertIn(reason, said)
        self.assertIn(reason, run("systemctl", "status", "--full", "mcp-upgrade.service").stdout)
        must("chown", "root:", self.settings)
        self.repository.release("1.3.0")
        said += self.run_unattended(well=False)
        self.assertIn("something in the home of alice failed this job", said)
        self.assertIn("settings.json", self.mcpctl("logs", "4"))
        for private in ("settings.json", "configuration files of", "my-secret"):
            self.assertNotIn(private, said)
        self.assertEqual("mcp-upgrade-timer", self.last_job()["owner"])

    def test_it_upgrades_every_application(self):
        link = pathlib.Path("/usr/local/bin/other")
        self.addCleanup(link.unlink, missing_ok=True)
        document = json.loads(CONFIG.read_text(encoding="utf-8"))
        document["applications"]["other"] = {
            "source": str(self.repository.path),
            "entry_points": [{"name": "other", "path": "bin/demo", "link": str(link)}],
        }
        CONFIG.write_text(json.dumps(document), encoding="utf-8")
        self.run_unattended()
        self.assert_runs("1.0.0")
        self.assertEqual("demo 1.0.0: well\n", run("other", "status", user="carol").stdout)
        self.repository.release("1.1.0", {"bin/demo": "#!/bin/sh\nexit 1\n"})
        self.run_unattended(well=False)
        jobs = self.mcpctl_json("jobs")[0]["jobs"]
        self.assertEqual([("other", "done"), ("demo", "failed"), ("other", "done"),
                          ("demo", "done")], [(job["app"], job["outcome"]) for job in jobs])
        done = run("/usr/local/bin/mcpctl", "upgrade")
        self.assertEqual(2, done.status)
        self.assertIn("several applications are configured; say which: demo, other", done.stderr)

    def test_it_joins_the_same_job_that_runs_already(self):
        self.mcpctl("upgrade")
        self.release_with_check("1.1.0", """
            echo > "$marks/waiting"
            while [ ! -e "$marks/gate" ]; do sleep 0.02; done""")
        client = self.start_mcpctl("upgrade", "--unattended")
        wait_for((self.marks / "waiting").exists, "the check's start")
        must("systemctl", "start", "--no-block", "mcp-upgrade.service")
        wait_for(lambda: "joined" in must("journalctl", "--unit=mcp-upgrade.service",
                                          "--output=cat").lower() or
                 show("mcp-upgrade.service", "ActiveState") == "activating", "the timer's run")
        self.open_gate()
        self.assertEqual(0, client.wait(60))
        wait_for(lambda: show("mcp-upgrade.service", "ActiveState") == "inactive", "its end")
        self.assertEqual(2, self.last_job()["job"])


#: The steps of a quick upgrade in their order.
STEPS = ("stage", "snapshot", "mid-check", "activate", "post-check", "record-after")


def begun(step):
    """Whether the running job has begun this step, as its journal says."""
    try:
        journal = (STATE / "journal").read_bytes()
    except FileNotFoundError:
        return False
    return journal.count(b'"record":"step"') > STEPS.index(step)


def connections():
    """Sockets at the daemon's address: the listening one, and one for each connection."""
    table = pathlib.Path("/proc/net/unix").read_text(encoding="ascii")
    return table.count("/run/mcp-upgraded/socket")


if __name__ == "__main__":
    unittest.main()
