"""What tests of the real programs stand on: a private directory with a home, a configuration and a
small application in a git repository; a daemon that can be started, killed and restarted; mcpctl;
and a full listing of a directory, to compare before and after.

Nothing here waits for a fixed time: wait_for() polls a condition, and a daemon says itself when it
is ready. Python's standard library only.
"""

import collections
import contextlib
import hashlib
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
import unittest

SOURCE = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("MCPU_BUILD", SOURCE / "build"))
DAEMON = BUILD / "daemon" / "mcp-upgraded"
MCPCTL = BUILD / "client" / "mcpctl"

#: Whether the programs are built with a sanitizer: they are several times slower and larger then.
SANITIZED = os.environ.get("MCPU_SANITIZED") == "1"
#: What times that a person would notice are multiplied by.
SLOWNESS = 10 if SANITIZED else 1

#: For everything that should take milliseconds; generous, since machines under test are slow.
PATIENCE_SECONDS = 20 * SLOWNESS


def children_of(pid):
    return [int(child) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()]


def wait_for(condition, what, seconds=PATIENCE_SECONDS):
    """Returns the first true value of condition(); fails naming `what` when it stays false."""
    deadline = time.monotonic() + seconds
    pause = 0.001
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(pause)
        pause = min(pause * 2, 0.05)


def listing(directory, ignore=()):
    """Every path below a directory with its type, mode, owner and content or target; of the
    directory itself as ".". `ignore` holds relative paths left out with what is below them."""
    found = {}
    top = os.fsencode(directory)
    ignored = {os.fsencode(name) for name in ignore}

    def visit(path, name):
        if name in ignored:
            return
        info = os.lstat(path)
        entry = {"mode": oct(info.st_mode), "owner": (info.st_uid, info.st_gid)}
        if stat.S_ISLNK(info.st_mode):
            entry["target"] = os.readlink(path)
        elif stat.S_ISREG(info.st_mode):
            with open(path, "rb") as file:
                entry["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
        found[os.fsdecode(name)] = entry
        if stat.S_ISDIR(info.st_mode):
            for child in sorted(os.listdir(path)):
                visit(os.path.join(path, child), child if name == b"." else name + b"/" + child)

    visit(top, b".")
    return found


def differences(before, after):
    """What changed between two listings, one line each; empty when nothing did."""
    lines = []
    for path in sorted(before.keys() | after.keys()):
        if path not in after:
            lines.append(f"gone: {path}")
        elif path not in before:
            lines.append(f"new: {path}")
        elif before[path] != after[path]:
            lines.append(f"changed: {path}: {before[path]} -> {after[path]}")
    return lines


class Repository:
    """A git repository of the demonstration application: several files that each carry the version,
    so that a mix of two releases shows."""

    PROGRAM = """#!/bin/sh
# Greets, and says which release each of its files is of.
here=$(dirname "$(readlink -f "$0")")
. "$here/../lib/version.sh"
. "$here/../lib/greeting.sh"
[ "$version" = "$greeting_version" ] || { echo "MIXED $version $greeting_version"; exit 70; }
case "${1-}" in
  --help) echo "usage: demo [--help | status | check]" ;;
  status) echo "demo $version: well" ;;
  check) echo "demo $version: checked" ;;
  *) echo "$greeting from demo $version" ;;
esac
"""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.path.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments):
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.path), "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "Demo", "GIT_AUTHOR_EMAIL": "demo@example.org",
            "GIT_COMMITTER_NAME": "Demo", "GIT_COMMITTER_EMAIL": "demo@example.org",
        }
        done = subprocess.run(["git", "-C", self.path, *arguments], env=environment, text=True,
                              capture_output=True, check=False)
        if done.returncode:
            raise AssertionError(f"git {' '.join(arguments)}: {done.stderr}")
        return done.stdout.strip()

    def write(self, name, content, executable=False):
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content, encoding="utf-8")
        path.chmod(0o755 if executable else 0o644)

    def release(self, version, files=None, tag=True):
        """Commits a release. `files` replaces or adds contents by name; None as content removes a
        file; names below bin/ are executable. Returns the commit."""
        log = self.path / "CHANGELOG.md"
        earlier = log.read_text(encoding="utf-8").split("\n", 1)[1] if log.exists() else ""
        contents = {
            "bin/demo": self.PROGRAM,
            "lib/version.sh": f"version={version}\n",
            "lib/greeting.sh": f"greeting_version={version}\ngreeting=hello\n",
            "CHANGELOG.md": f"# Changelog\n\n## v{version}\n\n- What {version} brings.\n{earlier}",
        }
        for name, content in (contents | (files or {})).items():
            if content is None:
                (self.path / name).unlink(missing_ok=True)
            else:
                self.write(name, content, executable=name.startswith("bin/"))
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", f"release {version}")
        if tag:
            self.git("tag", f"v{version}")
        return self.git("rev-parse", "HEAD")


Result = collections.namedtuple("Result", "status stdout stderr")


class Daemon:
    """One mcp-upgraded process at a time over one sandbox."""

    def __init__(self, sandbox, arguments=()):
        self.sandbox = sandbox
        self.arguments = list(arguments)
        self.process = None
        self.output = sandbox.root / "daemon.out"

    @property
    def pid(self):
        return self.process.pid

    def start(self, *more, environment=None, program=DAEMON, pass_fds=()):
        """Starts the daemon and returns when it says that it is ready; fails with what it printed
        when it ends before that."""
        assert self.process is None, "the daemon is already running"
        name = self.sandbox.root / "notify"
        name.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.bind(str(name))
            name.chmod(0o666)  # the daemon may be another user's
            variables = self.sandbox.environment() | {"NOTIFY_SOCKET": str(name)}
            with open(self.output, "ab") as output:
                self.process = subprocess.Popen(
                    [program, *self.sandbox.instance_arguments(), *self.arguments, *more],
                    env=variables | (environment or {}), stdin=subprocess.DEVNULL, stdout=output,
                    stderr=output, cwd="/", pass_fds=pass_fds)
            self._wait_ready(ready)
        return self

    def _wait_ready(self, ready):
        end = os.pidfd_open(self.process.pid)
        try:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while True:
                left = max(0, deadline - time.monotonic())
                readable = select.select([ready, end], [], [], left)[0]
                if ready in readable:
                    if b"READY=1" in ready.recv(4096).split(b"\n"):
                        return
                elif end in readable:
                    status = self.wait()
                    raise AssertionError(f"the daemon ended with {status}: {self.printed()}")
                elif not readable:
                    self.kill()
                    raise AssertionError(f"the daemon is not ready: {self.printed()}")
        finally:
            os.close(end)

    def printed(self):
        return self.output.read_text(encoding="utf-8", errors="replace")

    def wait(self, seconds=PATIENCE_SECONDS):
        """Waits for the daemon's end; returns its exit code (negative: the signal)."""
        process, self.process = self.process, None
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process = process
            raise AssertionError(f"the daemon did not end within {seconds} s") from None

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """The end that nobody can prepare for."""
        self.signal(signal.SIGKILL)
        return self.wait()

    def stop(self, seconds=30):
        self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def restart(self):
        self.kill()
        return self.start()

    def run(self, *arguments, seconds=PATIENCE_SECONDS):
        """Runs the program to its end, for what does not serve (--check-config, a second one)."""
        done = subprocess.run([DAEMON, *self.sandbox.instance_arguments(), *arguments],
                              env=self.sandbox.environment(), stdin=subprocess.DEVNULL, text=True,
                              capture_output=True, timeout=seconds, check=False, cwd="/")
        return Result(done.returncode, done.stdout, done.stderr)

    def memory_kilobytes(self, which="VmHWM"):
        """A figure of /proc/PID/status: VmHWM is the peak of the resident set."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) for line in status.splitlines()
                    if line.startswith(which + ":"))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


class Sandbox:
    """A private directory with everything of one instance in it, below a directory called `name`
    (with spaces, say) if that is given. Names are short: a socket's path has room for 107 bytes.
    `disk`: where home and state lie, if on a disk of their own."""

    def __init__(self, name="", disk=None):
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="mcpu-"))
        self.root = self.top / name
        self.home = (disk or self.root) / "home"
        self.state = (disk or self.root) / "state"
        self.links = self.home / ".local" / "bin"
        self.socket = self.root / "socket"
        self.config_file = self.root / "config.json"
        self.settings_file = self.home / ".demo" / "settings.json"
        for directory in (self.home, self.links, self.settings_file.parent):
            directory.mkdir(parents=True, exist_ok=True)
        self.settings_file.write_text('{"servers": {"one": {}}}\n', encoding="utf-8")
        self.repository = Repository(self.root / "demo")
        self.daemon = Daemon(self)
        self.write_configuration()

    def close(self):
        if self.daemon.process:
            self.daemon.kill()
        # Releases are read-only.
        for path, _, _ in os.walk(self.top):
            with contextlib.suppress(OSError):
                os.chmod(path, 0o700)
        shutil.rmtree(self.top, ignore_errors=True)

    def environment(self):
        return {"HOME": str(self.home), "PATH": f"{self.links}:/usr/local/bin:/usr/bin:/bin",
                "LANG": "C.UTF-8", "TZ": "UTC", "TMPDIR": str(self.root),
                # A sanitizer's settings are the caller's.
                **{key: value for key, value in os.environ.items() if key.endswith("SAN_OPTIONS")}}

    def instance_arguments(self):
        return ["--user", "--config", str(self.config_file), "--state-dir", str(self.state),
                "--socket", str(self.socket)]

    def application(self, **changes):
        """The configuration of the demonstration application."""
        return {
            "source": str(self.repository.path),
            "entry_points": [{"name": "demo", "path": "bin/demo", "link": str(self.links / "demo")}],
            "files": [{"path": ".demo/settings.json", "format": "json", "servers": "/servers"}],
            "checks": [{"arguments": ["--help"], "essential": True, "forbid": ["MIXED"]},
                       {"arguments": ["status"], "forbid": ["MIXED"]}],
            "deep_checks": [{"arguments": ["check"], "forbid": ["MIXED"]}],
        } | changes

    def write_configuration(self, application=None, **changes):
        """Writes the configuration file: `application` changes the demonstration application,
        `changes` the rest."""
        configuration = {
            "format": 1, "idle_exit": 0,
            "applications": {"mcp": None, "demo": self.application(**(application or {}))},
        } | changes
        self.config_file.write_text(json.dumps(configuration, indent=2), encoding="utf-8")

    def mcpctl(self, *arguments, seconds=120):
        """Runs mcpctl as the user would. A test looks at the exit code itself."""
        done = subprocess.run([MCPCTL, *arguments, *self.instance_arguments()],
                              env=self.environment(), stdin=subprocess.DEVNULL, text=True,
                              capture_output=True, timeout=seconds, check=False, cwd="/")
        return Result(done.returncode, done.stdout, done.stderr)

    def mcpctl_json(self, *arguments, seconds=120):
        """The exit code and the parsed lines of a command with --json."""
        done = self.mcpctl(*arguments, "--json", seconds=seconds)
        return done.status, [json.loads(line) for line in done.stdout.splitlines() if line]

    def demo(self, *arguments):
        """Runs the application's command through the link on PATH."""
        done = subprocess.run([self.links / "demo", *arguments], env=self.environment(), text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=30,
                              check=False, cwd="/")
        return Result(done.returncode, done.stdout, done.stderr)


class DaemonTestCase(unittest.TestCase):
    """A test with a sandbox of its own. The daemon is not started yet: self.daemon.start()."""

    maxDiff = None
    SANDBOX = Sandbox

    def setUp(self):
        self.sandbox = self.SANDBOX()
        self.addCleanup(self.sandbox.close)
        self.daemon = self.sandbox.daemon
        self.repository = self.sandbox.repository

    def run(self, result=None):
        # What the daemon printed is the first thing to look at when a test fails.
        errors = len(result.errors) + len(result.failures) if result else 0
        outcome = super().run(result)
        if result and len(result.errors) + len(result.failures) > errors:
            print(f"--- daemon of {self.id()}:\n{getattr(self, 'last_output', '')}")
        return outcome

    def tearDown(self):
        output = self.daemon.output
        self.last_output = self.daemon.printed() if output.exists() else ""

    def mcpctl(self, *arguments, status=0, **options):
        """Runs mcpctl and asserts its exit code; returns its standard output."""
        done = self.sandbox.mcpctl(*arguments, **options)
        self.assertEqual(status, done.status, f"{arguments}: {done.stdout}{done.stderr}")
        return done.stdout

    def assert_same(self, before, after):
        """Two listings are the same."""
        self.assertEqual([], differences(before, after))
