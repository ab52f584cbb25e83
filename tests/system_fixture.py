"""What tests of the installed daemon under a real systemd stand on. They run inside the container of
tests/with_systemd, where everything may be changed: the build is installed there, users are made,
and the units are enabled as an administrator would. Python's standard library only.
"""

import functools
import json
import pathlib
import shutil
import subprocess
import sys
import unittest

from daemon_fixture import BUILD, Repository, Result, wait_for

SERVICE = "mcp-upgraded.service"
SOCKET = "mcp-upgraded.socket"
STATE = pathlib.Path("/var/lib/mcp-upgraded")
CONFIG = pathlib.Path("/etc/mcp-upgraded/config.json")
LINK = pathlib.Path("/usr/local/bin/demo")
DROP_IN = pathlib.Path("/run/systemd/system/mcp-upgraded.service.d/test.conf")


def run(*command, user=None, seconds=120, environment=None):
    """Runs a command to its end, as a user as if from a shell of theirs."""
    variables = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "LANG": "C.UTF-8",
                 "HOME": f"/home/{user}" if user else "/root"} | (environment or {})
    if user:
        command = ("setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups",
                   "--inh-caps=-all", *command)
    done = subprocess.run(command, env=variables, stdin=subprocess.DEVNULL, text=True, cwd="/",
                          capture_output=True, timeout=seconds, check=False, errors="replace")
    return Result(done.returncode, done.stdout, done.stderr)


def must(*command, **options):
    """The same for what has to succeed; its standard output."""
    done = run(*command, **options)
    if done.status:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.status}\n"
                             f"{done.stdout}{done.stderr}")
    return done.stdout


def show(unit, name):
    return must("systemctl", "show", "--value", f"--property={name}", unit).strip()


class UserRepository(Repository):
    """A checkout in a user's home, all of it that user's."""

    def __init__(self, path, user):
        self.user = user
        super().__init__(path)

    def git(self, *arguments):
        if arguments[0] == "init":
            shutil.chown(self.path, self.user, self.user)
        return must("git", "-C", self.path, "-c", "user.name=Demo",
                    "-c", "user.email=demo@example.org", *arguments, user=self.user).strip()

    def write(self, name, content, executable=False):
        super().write(name, content, executable)
        path = self.path / name
        while path != self.path:
            shutil.chown(path, self.user, self.user)
            path = path.parent


@functools.cache
def install():
    """As in the README's section for administrators; once for all test cases of a file."""
    must("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet")
    must("systemd-sysusers")
    must("systemd-tmpfiles", "--create")
    must("journalctl", "--update-catalog")
    must("systemctl", "daemon-reload")


class SystemTestCase(unittest.TestCase):
    """alice has a checkout of the demonstration application and a link to it on everybody's PATH, as
    it was installed of old; bob is in the group, carol is nobody in particular."""

    maxDiff = None

    @classmethod
    def setUpClass(cls):
        if run("systemd-detect-virt", "--container", "--quiet").status:
            sys.exit("this test changes the machine: run it with tests/with_systemd")
        install()
        for user, groups in (("alice", ""), ("bob", "mcp-upgrade"), ("carol", "")):
            if run("id", user).status:
                must("useradd", "--create-home", "--shell", "/bin/sh", "--groups", groups, user)

    def setUp(self):
        self.addCleanup(self.leave_nothing)
        self.repository = UserRepository("/home/alice/demo", "alice")
        self.settings = pathlib.Path("/home/alice/.demo/settings.json")
        self.settings.parent.mkdir()
        self.settings.write_text('{"servers": {"one": {}}}\n', encoding="utf-8")
        for path in (self.settings.parent, self.settings):
            shutil.chown(path, "alice", "alice")
        self.repository.release("1.0.0")
        LINK.symlink_to(self.repository.path / "bin" / "demo")
        self.marks = pathlib.Path("/tmp/marks")
        self.marks.mkdir()
        self.marks.chmod(0o777)
        self.clients = []
        self.configure()
        must("systemctl", "start", SOCKET)

    def leave_nothing(self):
        for client in self.clients:
            if client.poll() is None:
                client.kill()
            client.communicate()
        run("systemctl", "stop", SOCKET, SERVICE, "mcp-upgrade.timer", "mcp-upgrade.service")
        run("systemctl", "reset-failed")
        if DROP_IN.exists():
            DROP_IN.unlink()
            must("systemctl", "daemon-reload")
        for path in (STATE, "/var/cache/mcp-upgraded", "/home/alice/demo", "/home/alice/.demo",
                     "/tmp/marks"):
            shutil.rmtree(path, ignore_errors=True)
        LINK.unlink(missing_ok=True)

    def run(self, result=None):
        # What the journal says is the first thing to look at when a test fails.
        count = len(result.errors) + len(result.failures) if result else 0
        cursor = must("journalctl", "--lines=0", "--show-cursor").split("cursor: ")[-1].strip()
        outcome = super().run(result)
        if result and len(result.errors) + len(result.failures) > count:
            shown = run("journalctl", f"--after-cursor={cursor}", "--no-pager", "--lines=80")
            print(f"--- journal of {self.id()}:\n{shown.stdout}", flush=True)
        return outcome

    # --- What a test says ------------------------------------------------------------------------

    def configure(self, application=None, **changes):
        """Writes the configuration: `application` changes the demonstration application."""
        demo = {
            "entry_points": [{"name": "demo", "path": "bin/demo", "link": str(LINK)}],
            "files": [{"path": ".demo/settings.json", "format": "json", "servers": "/servers"}],
            "checks": [{"arguments": ["--help"], "essential": True, "forbid": ["MIXED"]},
                       {"arguments": ["status"], "forbid": ["MIXED"]}],
        } | (application or {})
        CONFIG.parent.mkdir(exist_ok=True)
        CONFIG.write_text(json.dumps({"format": 1, "applications": {"mcp": None, "demo": demo}}
                                     | changes, indent=2), encoding="utf-8")

    def change_unit(self, *lines):
        """A drop-in for the daemon's unit."""
        DROP_IN.parent.mkdir(parents=True, exist_ok=True)
        DROP_IN.write_text("\n".join(("[Service]", *lines, "")), encoding="utf-8")
        must("systemctl", "daemon-reload")

    def mcpctl(self, *arguments, status=0, user=None, **options):
        """Runs mcpctl and asserts its exit code; its standard output."""
        done = run("/usr/local/bin/mcpctl", *arguments, user=user, **options)
        self.assertEqual(status, done.status, f"{arguments}: {done.stdout}{done.stderr}")
        return done.stdout

    def mcpctl_json(self, *arguments, **options):
        text = self.mcpctl(*arguments, "--json", **options)
        return [json.loads(line) for line in text.splitlines()]

    def start_mcpctl(self, *arguments):
        client = subprocess.Popen(["/usr/local/bin/mcpctl", *arguments], text=True, cwd="/",
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT)
        self.clients.append(client)
        return client

    def assert_runs(self, version, user="carol"):
        done = run("demo", "status", user=user)
        self.assertEqual((0, f"demo {version}: well\n"), (done.status, done.stdout), done.stderr)

    def release_with_check(self, version, script):
        """A release whose --help runs `script` first."""
        program = Repository.PROGRAM.replace("--help) ", f'--help) marks="{self.marks}"\n{script}\n')
        assert program != Repository.PROGRAM
        self.repository.release(version, {"bin/demo": program})

    def start_gated_upgrade(self, version="1.1.0"):
        """Begins an upgrade whose check waits for open_gate(); returns mcpctl when it does."""
        self.release_with_check(version, """
            echo > "$marks/waiting"
            while [ ! -e "$marks/gate" ]; do sleep 0.02; done""")
        client = self.start_mcpctl("upgrade")
        wait_for((self.marks / "waiting").exists, "the check's start")
        return client

    def open_gate(self):
        (self.marks / "gate").touch()

    @staticmethod
    def main_pid():
        return int(show(SERVICE, "MainPID"))

    def status_text(self):
        return show(SERVICE, "StatusText")

    def last_job(self):
        return self.mcpctl_json("jobs")[0]["jobs"][0]

    def wait_settled(self):
        """Waits until no job runs and none is to be recovered."""
        wait_for(lambda: not (STATE / "journal").exists(), "the end of the job")
        wait_for(lambda: self.status_text() == "idle", "an idle daemon")
