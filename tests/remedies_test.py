#!/usr/bin/env python3
"""What people learned to do about the old scripts, done exactly so to an installation that was
taken over from a checkout: at rest, and in the middle of a job. Nothing is lost, the command goes
on working, status says what changed and what to do, and an upgrade mends it.

The old scripts themselves run where there is a checkout of MCP Local Manager that has them:
--real CHECKOUT, or MCPU_REAL=CHECKOUT. It is copied, and nothing is written to it. All of this has
a /tmp and a /usr/local/bin of its own, since that is where these remedies lie.
"""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

from daemon_fixture import listing, wait_for
from job_fixture import JobTestCase, behaviour
from private_places import make_private

REAL = os.environ.get("MCPU_REAL")
NOT_PRIVATE = "not tried"

SCRIPT_LOCKS = ("/tmp/mcp-upgrade.lock", "/tmp/mcp-auto-upgrade.lock")


def setUpModule():
    global NOT_PRIVATE
    NOT_PRIVATE = make_private(*([REAL] if REAL else []))


def run(*words, **options):
    """A command as somebody types it."""
    return subprocess.run([str(word) for word in words], check=True, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, **options)


class RemedyCase(JobTestCase):
    """Version 1.0 is installed from a checkout in which people work as they always did."""

    #: Where the checks of a job wait while something is done to it; None: no job runs.
    MOMENT = None
    ended, printed = None, ""

    def setUp(self):
        super().setUp()
        if NOT_PRIVATE:
            self.skipTest(NOT_PRIVATE)
        self.gate, self.waits = self.sandbox.root / "gate", self.sandbox.root / "waits"
        self.repository.release("0.9")
        self.repository.release("1.0")
        self.checkout = self.sandbox.root / "checkout"
        run("git", "clone", "--quiet", self.repository.path, self.checkout)
        self.sandbox.write_configuration({"source": ""})
        self.link = self.sandbox.links / "demo"
        self.link.symlink_to(self.checkout / "bin" / "demo")
        self.launcher = self.sandbox.state / "launch" / "demo" / "demo"
        self.settings = self.sandbox.settings_file
        self.settings.write_text('{"servers": {"mine": {"key": "secret"}}}\n')
        self.daemon.start()
        self.mcpctl("upgrade")
        self.assert_runs("1.0")
        self.assertEqual(str(self.launcher), os.readlink(self.link))
        self.kept = self.settings.read_bytes()

    def git(self, *arguments):
        return self.repository.git("-C", str(self.checkout), *arguments)

    # --- the job that something is done to ---

    @contextlib.contextmanager
    def job(self):
        """Where this case has a job, it is an upgrade to 1.1 that stands still inside, and has
        ended behind; its output is then in self.printed, its exit code in self.ended."""
        if self.MOMENT is None:
            yield
            return
        scratch = "!=" if self.MOMENT == "mid-check" else "="
        self.repository.release("1.1", behaviour("1.1", f"""
            if [ "$1" = --help ] && [ "$HOME" {scratch} "{self.sandbox.home}" ]; then
              : > "{self.waits}"; until [ -e "{self.gate}" ]; do sleep 0.02; done
            fi"""))
        self.git("pull", "--quiet")
        client = self.begin("upgrade", "--no-wait")
        wait_for(self.waits.exists, f"the {self.MOMENT}")
        yield
        self.assert_one_at_a_time()
        self.gate.touch()
        self.ended = client.wait(60)
        self.printed = client.stdout.read()
        self.assertIn(self.ended, (0, 1), self.printed)
        self.wait_idle()

    def assert_one_at_a_time(self):
        """Whatever was deleted: the job is known, and no other one begins beside it."""
        self.assertRegex(self.sandbox.mcpctl("status").stdout, f"running .*in {self.MOMENT}")
        refused = self.sandbox.mcpctl("upgrade", "--full", "--force", "--no-wait")
        self.assertEqual(3, refused.status, refused.stderr)
        self.assertEqual(1, len(self.running()))

    # --- what must be true behind it ---

    def contents(self, *parts):
        """The content of every file below these parts of the sandbox."""
        return {entry["sha256"] for part in parts for entry in listing(part).values()
                if "sha256" in entry}

    def theirs(self):
        """What people have, and what stands where a command was."""
        own = ("state", "socket", "notify", "daemon.out", "gate", "waits",
               "home/.local/state/mcp-upgraded.lock")
        found = {entry["sha256"] for entry in listing(self.sandbox.root, own).values()
                 if "sha256" in entry}
        return found | self.contents(self.sandbox.state / "launch")

    def assert_nothing_lost(self, theirs):
        self.assertEqual(set(), theirs - self.contents(self.sandbox.root))
        self.assertEqual(self.kept, self.settings.read_bytes())

    def assert_told(self, *words):
        """Status names all of this, and a command that helps. A job that ended meanwhile may have
        put things right already."""
        done = self.sandbox.mcpctl("status")
        if self.MOMENT and done.status == 0 and os.readlink(self.link) == str(self.launcher):
            return
        self.assertEqual(1, done.status, done.stdout + self.printed)
        self.assertIn("PROBLEM", done.stdout)
        for word in words:
            self.assertIn(str(word), done.stdout)
        self.assertRegex(done.stdout, "what to do: .*mcpctl (upgrade|repair)")

    def assert_mended(self, *arguments, version=None):
        """A plain upgrade works, the command is ours again, and nothing is left to tell."""
        theirs = self.theirs()
        self.mcpctl("upgrade", *arguments)
        self.assert_runs(version or ("1.1" if self.MOMENT else "1.0"))
        self.assertEqual(str(self.launcher), os.readlink(self.link))
        self.assertNotIn("PROBLEM", self.mcpctl("status", "--verify"))
        self.assert_nothing_lost(theirs)


class Remedies(RemedyCase):
    """At rest; the classes below do the same in the middle of a job."""

    def delete(self, *paths):
        with self.job():
            run("rm", "-f", *paths)
            theirs = self.theirs()
            self.assert_runs("1.0", "1.1")
        self.assertIn(self.ended, (None, 0), self.printed)
        self.assert_runs("1.1" if self.MOMENT else "1.0")
        self.assertNotIn("PROBLEM", self.mcpctl("status"))
        self.assert_nothing_lost(theirs)
        self.assert_mended()

    def test_deleting_the_scripts_lock_files(self):
        for path in SCRIPT_LOCKS:
            pathlib.Path(path).write_text("4711\n")
        self.delete(*SCRIPT_LOCKS)

    def test_deleting_the_daemons_lock(self):
        self.delete(self.sandbox.state / "lock")

    def test_deleting_the_lock_in_the_home(self):
        self.delete(self.sandbox.home / ".local" / "state" / "mcp-upgraded.lock")

    def test_copying_a_backup_over_the_command(self):
        backup = self.sandbox.root / "demo.backup.20250101_120000"
        backup.write_text("#!/bin/sh\n# Somebody's own, of which this was the only copy.\n"
                          "echo \"demo 0.8: an old copy\"\n")
        backup.chmod(0o755)
        with self.job():
            # Through the link, which stays.
            run("cp", backup, self.link)
            backup.unlink()
            theirs = self.theirs()
            self.assert_runs("0.8")
        self.assert_nothing_lost(theirs)
        self.assert_told(self.link)
        self.assert_mended()
        self.assertEqual("", self.git("status", "--short"))

    def test_a_link_into_the_checkout_made_by_hand(self):
        program = self.checkout / "bin" / "demo"
        with self.job():
            run("ln", "-sf", program, self.link)
            theirs = self.theirs()
            self.assertEqual(str(program), os.readlink(self.link))
        self.assert_runs("1.0", "1.1")
        self.assert_nothing_lost(theirs)
        self.assert_told(self.link, program)
        self.assert_mended()
        self.assertEqual("", self.git("status", "--short"))

    def test_removing_the_command(self):
        with self.job():
            run("rm", "-f", self.link)
            theirs = self.theirs()
        self.assert_nothing_lost(theirs)
        if os.path.lexists(self.link):
            self.assert_told(self.link)
        else:
            self.assertRegex(self.mcpctl("status", status=1), f"PROBLEM .*{self.link} is missing")
        self.assert_mended()

    def test_git_pull_in_the_checkout(self):
        with self.job():
            # `git pull` works on main, where a job's version came from, too.
            self.repository.release("1.2")
            self.git("pull", "--quiet")
            theirs = self.theirs()
            self.assert_runs("1.0", "1.1")
        self.assertIn(self.ended, (None, 0), self.printed)
        self.assert_runs("1.1" if self.MOMENT else "1.0")
        self.assert_nothing_lost(theirs)
        self.assert_mended(version="1.2")

    def test_git_checkout_of_an_older_version(self):
        with self.job():
            self.git("checkout", "--quiet", "v0.9")
            theirs = self.theirs()
            self.assert_runs("1.0", "1.1")
        self.assertIn(self.ended, (None, 0), self.printed)
        self.assert_runs("1.1" if self.MOMENT else "1.0")
        self.assert_nothing_lost(theirs)
        refused = self.sandbox.mcpctl("upgrade")
        self.assertEqual(1, refused.status)
        self.assertIn("--to 0.9", refused.stderr + refused.stdout)
        self.assert_mended("--to", "0.9", version="0.9")

    def test_edits_in_the_checkout_that_are_not_committed(self):
        with self.job():
            (self.checkout / "lib" / "greeting.sh").write_text("exit 9  # half an edit\n")
            theirs = self.theirs()
            self.assert_runs("1.0", "1.1")
        self.assertIn(self.ended, (None, 0), self.printed)
        self.assert_nothing_lost(theirs)
        self.assert_mended()

    def test_moving_the_checkout(self):
        moved = self.sandbox.root / "elsewhere"
        with self.job():
            run("mv", self.checkout, moved)
            theirs = self.theirs()
            self.assert_runs("1.0", "1.1")
        self.assert_only_the_next_upgrade_misses_it(theirs)
        self.repository.release("1.2")
        run("git", "-C", moved, "pull", "--quiet")
        self.assert_mended("--from", moved, version="1.2")
        run("mv", moved, self.checkout)
        self.assert_mended(version="1.2")

    def test_deleting_the_checkout(self):
        with self.job():
            shutil.rmtree(self.checkout)
            theirs = self.theirs()
            self.assert_runs("1.0", "1.1")
        self.assert_only_the_next_upgrade_misses_it(theirs)
        self.repository.release("1.2")
        self.assert_mended("--from", self.repository.path, version="1.2")

    def assert_only_the_next_upgrade_misses_it(self, theirs):
        """The job and the command are none the worse. The next upgrade, whose source is not there,
        says so, and the way on."""
        self.assertIn(self.ended, (None, 0), self.printed)
        self.assert_runs("1.1" if self.MOMENT else "1.0")
        self.assert_nothing_lost(theirs)
        refused = self.sandbox.mcpctl("upgrade")
        self.assertEqual(1, refused.status)
        self.assertIn(str(self.checkout), refused.stderr + refused.stdout)
        self.assert_runs("1.1" if self.MOMENT else "1.0")


class RemediesInMidCheck(Remedies):
    MOMENT = "mid-check"


class RemediesInPostCheck(Remedies):
    MOMENT = "post-check"


class OldScripts(JobTestCase):
    """The scripts of version 1.3.5, run by habit in the checkout that was adopted."""

    SETTINGS = {".mcp-central/config/mcp-servers.json":
                {"version": "1.1.0", "servers": {"time": {"enabled": True, "command": "uvx"}}},
                ".claude/settings.json": {"mcpServers": {"mine": {"command": "x"}}},
                ".cursor/mcp.json": {"mcpServers": {}}}

    def setUp(self):
        super().setUp()
        if NOT_PRIVATE:
            self.skipTest(NOT_PRIVATE)
        if not REAL:
            self.skipTest("the old scripts: give --real CHECKOUT or MCPU_REAL=CHECKOUT")
        self.addCleanup(self.clear_fixed_places)
        self.checkout = self.sandbox.root / "mcp-local-manager"
        run("git", "clone", "--quiet", "--no-hardlinks", REAL, self.checkout)
        run("git", "-C", self.checkout, "checkout", "--quiet", "v1.3.5")
        self.link = pathlib.Path("/usr/local/bin/mcp")
        self.link.symlink_to(self.checkout / "bin" / "mcp")
        # The variable tells a release's own checks from what the scripts run.
        self.sandbox.write_configuration(applications={"mcp": {
            "entry_points": [{"name": "mcp", "path": "bin/mcp", "link": str(self.link)}],
            "environment": {"PYTHONDONTWRITEBYTECODE": "1", "MCPU_TEST_WAITS": "1"}}})
        for name, content in self.SETTINGS.items():
            path = self.sandbox.home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content))
        self.gate, self.waits = self.sandbox.root / "gate", self.sandbox.root / "waits"
        self.launcher = self.sandbox.state / "launch" / "mcp" / "mcp"
        self.daemon.start()
        self.mcpctl("upgrade")
        self.assertEqual(str(self.launcher), os.readlink(self.link))
        self.settings = self.listed_settings()

    @staticmethod
    def clear_fixed_places():
        places = pathlib.Path("/usr/local/bin").iterdir(), pathlib.Path("/tmp").glob("mcp-*")
        for path in [one for place in places for one in place]:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    def listed_settings(self):
        return {name: (self.sandbox.home / name).read_bytes() for name in self.SETTINGS}

    def script(self, name, *arguments):
        done = subprocess.run(["bash", self.checkout / "scripts" / name, *arguments], text=True,
                              env=self.sandbox.environment() | {"PYTHONDONTWRITEBYTECODE": "1"},
                              cwd=self.checkout, stdin=subprocess.DEVNULL, timeout=90,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        return done

    def help_runs(self):
        return subprocess.run([self.link, "--help"], env=self.sandbox.environment(), timeout=30,
                              capture_output=True, stdin=subprocess.DEVNULL, check=False)

    def assert_told_and_mended(self, *words):
        told = self.mcpctl("status", status=1)
        for word in ("PROBLEM", *words):
            self.assertIn(str(word), told)
        self.assertRegex(told, "what to do: .*mcpctl (upgrade|repair)")
        self.assert_mended()

    def assert_mended(self):
        tree = listing(self.checkout, [".git"])
        self.mcpctl("upgrade")
        self.assertEqual(str(self.launcher), os.readlink(self.link))
        self.assertEqual(0, self.help_runs().returncode)
        self.assertNotIn("PROBLEM", self.mcpctl("status", "--verify"))
        self.assert_same(tree, listing(self.checkout, [".git"]))
        self.assertEqual(self.settings, self.listed_settings())

    def test_each_of_them_takes_the_command_over_and_an_upgrade_takes_it_back(self):
        for words in (["quick-upgrade.sh"], ["auto-upgrade.sh"], ["auto-upgrade.sh", "--force"],
                      ["quick-upgrade.sh", "--force"]):
            with self.subTest(script=words):
                done = self.script(*words)
                self.assertEqual(0, done.returncode, done.stdout)
                self.assertEqual(str(self.checkout / "bin" / "mcp"), os.readlink(self.link))
                self.assertEqual(0, self.help_runs().returncode)
                self.assert_told_and_mended(self.link, self.checkout / "bin" / "mcp")

    def test_what_their_rollback_copies_through_the_link_is_told_and_mended(self):
        # A misspelt option is enough: their exit trap puts back the newest backup.
        backup = pathlib.Path(f"{self.link}.backup.20250101_120000")
        shutil.copy(self.checkout / "bin" / "mcp", backup)
        stored = listing(self.sandbox.state / "apps")
        self.assertEqual(1, self.script("quick-upgrade.sh", "--froce").returncode)
        self.assertEqual(backup.read_bytes(), self.launcher.read_bytes())
        self.assert_same(stored, listing(self.sandbox.state / "apps"))
        self.assert_told_and_mended(self.link)

    def test_in_the_middle_of_a_job_they_lose_nothing(self):
        for scratch, moment in (("!=", "mid-check"), ("==", "post-check")):
            for words in (["quick-upgrade.sh"], ["auto-upgrade.sh", "--force"]):
                with self.subTest(moment=moment, script=words):
                    self.commit_waiting(scratch)
                    job = self.begin("upgrade", "--no-wait")
                    wait_for(self.waits.exists, f"the {moment}")
                    self.assertEqual(0, self.script(*words).returncode)
                    self.assertEqual(0, self.help_runs().returncode)
                    self.gate.touch()
                    self.assertIn(job.wait(60), (0, 1), job.stdout.read())
                    self.wait_idle()
                    self.assertEqual(0, self.help_runs().returncode)
                    self.assertEqual(self.settings, self.listed_settings())
                    self.assert_mended()
                    self.gate.unlink()
                    self.waits.unlink()

    def commit_waiting(self, scratch):
        """A commit whose --help waits at the gate when a job checks it."""
        program = self.checkout / "bin" / "mcp"
        first, rest = program.read_text().split("import annotations\n", 1)
        rest = rest[rest.index("# mcp:"):]
        program.write_text(f"""{first}import annotations
import os, sys, time
if "MCPU_TEST_WAITS" in os.environ and "--help" in sys.argv and (
        os.environ["HOME"] {scratch} "{self.sandbox.home}"):
    open("{self.waits}", "w").close()
    while not os.path.exists("{self.gate}"):
        time.sleep(0.02)
# {os.urandom(8).hex()}
{rest}""")
        run("git", "-C", self.checkout, "-c", "user.name=Me", "-c", "user.email=me@example.org",
            "commit", "--quiet", "--all", "--message", "waits")


if __name__ == "__main__":
    if "--real" in sys.argv:
        place = sys.argv.index("--real")
        REAL = sys.argv[place + 1]
        del sys.argv[place:place + 2]
    unittest.main()
