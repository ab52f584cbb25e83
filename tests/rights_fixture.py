"""What tests of a root daemon stand on: real users of their own, a sandbox that these can reach, and
connections that are made as one of them.

Programs that import this end with 77 (skipped, says meson) when they are not run by root. They run
one after the other, whoever starts them: the accounts are the machine's.
"""

import contextlib
import fcntl
import grp
import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import unittest

import client_fixture
from client_fixture import Peer, end_serving
from daemon_fixture import (BUILD, Daemon, DaemonTestCase, Repository, Result, Sandbox, children_of,
                            wait_for)

SKIPPED = 77
#: Owns the checkout; a member of the group; somebody else; a third one.
DORA, ANN, EVE, BOB = "mcpu-dora", "mcpu-ann", "mcpu-eve", "mcpu-bob"
GROUP = "mcpu-ops"
SOURCE_ACCOUNT, CHECK_ACCOUNT = "mcp-upgrade-source", "mcp-upgrade-check"
PROGRAMS = ("daemon/mcp-upgraded", "daemon/worker/mcp-upgraded-worker",
            "daemon/worker/mcp-upgraded-source", "daemon/worker/mcp-upgraded-services",
            "client/mcpctl", "client/mcp-launch")


def run_tests():
    """The main of a test program."""
    if os.geteuid() != 0:
        print("skipped: only root can be several users")
        sys.exit(SKIPPED)
    with open("/run/lock/mcp-upgraded-tests", "w", encoding="ascii") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        with accounts():
            unittest.main()


def command(*words):
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def exists(look_up, name):
    with contextlib.suppress(KeyError):
        return look_up(name) is not None
    return False


def remove_people():
    for name in (DORA, ANN, EVE, BOB):
        if exists(pwd.getpwnam, name):
            command("userdel", name)
    if exists(grp.getgrnam, GROUP):
        command("groupdel", GROUP)


@contextlib.contextmanager
def accounts():
    """The users for as long as the tests run. Those of the product stay if they were there."""
    remove_people()  # of a run that was killed
    made = []
    try:
        command("groupadd", "--system", GROUP)
        for name in (DORA, ANN, EVE, BOB):
            command("useradd", "--system", "--user-group", "--no-create-home", "--no-log-init",
                    "--home-dir", f"/nonexistent/{name}", "--shell", "/bin/sh", name)
        command("usermod", "--append", "--groups", GROUP, ANN)
        for name in (SOURCE_ACCOUNT, CHECK_ACCOUNT):
            if not exists(pwd.getpwnam, name):
                command("useradd", "--system", "--user-group", "--no-create-home",
                        "--no-log-init", "--home-dir", "/nonexistent", "--shell",
                        "/usr/sbin/nologin", name)
                made.append(name)
        yield
    finally:
        remove_people()
        for name in made:
            command("userdel", name)


def uid_of(name):
    return pwd.getpwnam(name).pw_uid


def own(path, user):
    """Gives a path and all below it to a user."""
    who = pwd.getpwnam(user)
    for top, directories, files in os.walk(path):
        for name in ["", *directories, *files]:
            os.lchown(os.path.join(top, name) if name else top, who.pw_uid, who.pw_gid)


@contextlib.contextmanager
def acting_as(user):
    """This process with the effective rights of a user; root stays the real one."""
    if user == "root":
        yield
        return
    who = pwd.getpwnam(user)
    groups, group = os.getgroups(), os.getegid()
    os.setgroups(os.getgrouplist(user, who.pw_gid))
    os.setegid(who.pw_gid)
    os.seteuid(who.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def process_rights(user, login=None):
    """Arguments of subprocess for a process of a user; `login`: who logged in and became it."""
    arguments = {}
    if login is not None:
        def log_in():
            pathlib.Path("/proc/self/loginuid").write_text(str(uid_of(login)), encoding="ascii")
        arguments["preexec_fn"] = log_in
    if user != "root":
        who = pwd.getpwnam(user)
        arguments |= {"user": who.pw_uid, "group": who.pw_gid,
                      "extra_groups": os.getgrouplist(user, who.pw_gid)}
    return arguments


class SystemSandbox(Sandbox):
    """A sandbox of a system instance. Homes are in it, one for each user; the repository is Dora's,
    and nobody else can even look into it."""

    def __init__(self):
        super().__init__()
        self.top.chmod(0o755)
        self.links = self.root / "bin"
        self.links.mkdir()
        self.programs = self.root / "programs"
        self.programs.mkdir()
        for name in PROGRAMS:
            shutil.copy(BUILD / name, self.programs)
        self.homes = {}
        for name in (DORA, ANN, EVE, BOB):
            self.make_home(name)
        shutil.rmtree(self.repository.path)
        self.repository = Repository(self.homes[DORA] / "demo")
        self.give_checkout()
        self.daemon = Daemon(self, ["--program-dir", str(self.programs)])
        self.write_configuration()

    def make_home(self, name):
        home = self.root / "homes" / name
        (home / ".demo").mkdir(parents=True)
        (home / ".demo" / "settings.json").write_text('{"servers": {}}\n', encoding="utf-8")
        own(home, name)
        home.chmod(0o700)
        command("usermod", "--home", str(home), name)
        self.homes[name] = home

    def give_checkout(self):
        """What the test wrote into the checkout as root is Dora's, and hers alone."""
        own(self.repository.path, DORA)
        self.repository.path.chmod(0o700)

    def release(self, version, files=None):
        own(self.repository.path, "root")  # git works in no repository of somebody else
        self.repository.release(version, files)
        self.give_checkout()

    def adopt(self):
        """The command as people had it: a link into the checkout."""
        (self.links / "demo").symlink_to(self.repository.path / "bin" / "demo")

    def instance_arguments(self):
        return ["--system", "--config", str(self.config_file), "--state-dir", str(self.state),
                "--socket", str(self.socket)]

    def application(self, **changes):
        return super().application(**({"source": ""} | changes))

    def write_configuration(self, application=None, **changes):
        super().write_configuration(application, **({"group": GROUP} | changes))

    def mcpctl(self, *arguments, user="root", login=None, seconds=120):
        done = subprocess.run(
            [self.programs / "mcpctl", *arguments, *self.instance_arguments()],
            env=self.environment() | {"HOME": str(self.homes.get(user, self.home))},
            stdin=subprocess.DEVNULL, text=True, capture_output=True, timeout=seconds, check=False,
            cwd="/", **process_rights(user, login))
        return Result(done.returncode, done.stdout, done.stderr)

    def peer(self, user="root"):
        """A connection made by a user."""
        with acting_as(user):
            return Peer(self.socket)

    def close(self):
        end_serving(self.state)
        super().close()


class SystemTestCase(DaemonTestCase):
    """A test with a system sandbox of its own; the daemon is not started yet."""

    SANDBOX = SystemSandbox

    def mcpctl(self, *arguments, status=0, **options):
        """Runs mcpctl, asserts its exit code; returns all that it printed."""
        done = self.sandbox.mcpctl(*arguments, **options)
        self.assertEqual(status, done.status, f"{arguments}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def assert_runs(self, version):
        done = self.sandbox.demo("status")
        self.assertEqual((0, f"demo {version}: well\n"), (done.status, done.stdout), done.stderr)

    def events(self, job, user="root"):
        """The events of a job as a user sees them."""
        with self.sandbox.peer(user) as peer:
            replies = peer.stream("Watch", job=job)
        return [reply["parameters"]["event"] for reply in replies if "event" in reply["parameters"]]

    def texts(self, job, user="root"):
        return "\n".join(f"[{event['tier']}] {event['text']}" for event in self.events(job, user))


def name_of(pid):
    return os.path.basename(os.readlink(f"/proc/{pid}/exe"))


class CheckTestCase(SystemTestCase):
    """A test with releases whose checks do what it says, and tell it by files in self.marks."""

    def setUp(self):
        super().setUp()
        self.marks = self.sandbox.root / "marks"
        self.marks.mkdir()
        self.marks.chmod(0o777)

    def release_with_check(self, version, script):
        program = Repository.PROGRAM.replace("--help) ",
                                             f'--help) marks="{self.marks}"\n{script}\n')
        self.sandbox.release(version, {"bin/demo": program})

    def gated_release(self, version):
        self.release_with_check(version, """
            id -u > "$marks/new"; mv "$marks/new" "$marks/uid"
            while [ ! -e "$marks/gate" ]; do sleep 0.02; done""")

    def start_gated(self, *arguments, user="root"):
        """Queues an upgrade to a release whose check waits; returns the job and the workers."""
        with self.sandbox.peer(user) as peer:
            job = peer.call("Upgrade", **dict(arguments))["parameters"]["job"]
        wait_for((self.marks / "uid").exists, "the check's start")
        return job, {name_of(pid): pid for pid in children_of(self.daemon.pid)}

    def wait_ended(self, job):
        with self.sandbox.peer() as peer:
            return peer.stream("Watch", job=job, follow=True)[-1]["parameters"]["result"]


is_running = client_fixture.is_running
