"""What tests of damaged state stand on: a state directory with a past (an adopted command,
upgrades, a rollback, and a pinned, a held and a denied release), copied anew for each case; ways to
damage one of its files; and programs that are subject to the files' modes, also when root runs the
tests.
"""

import contextlib
import fnmatch
import os
import pathlib
import select
import shutil
import signal
import subprocess

from daemon_fixture import MCPCTL, SLOWNESS, Result, Sandbox, listing, wait_for
from job_fixture import behaviour, failing

#: What each release is there for: a name's beginning in find().
ROLES = {"current": "1.1.0", "back": "1.3.0", "pinned": "1.0.0"}

#: Within what everything must answer, whatever the damage.
LIMIT_SECONDS = 10 * SLOWNESS

#: What stood at the command before: a file, so that its content is kept.
EARLIER = "#!/bin/sh\n# Of before.\necho earlier\n"

#: The managed configuration file, and what 1.3.0 makes of it.
SETTINGS = '{"servers": {"mine": {}}}\n'
MIGRATED = '{"servers": {}, "version": 3}'

#: Root may read everything, which no user's own daemon may.
AS_A_USER = (["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
             if os.geteuid() == 0 else [])

#: Said instead of an exit code by what did not end in time.
HUNG = 124


def bounded(words, sandbox, seconds=LIMIT_SECONDS):
    """Runs a program as the user; what does not end is ended, and its status is HUNG."""
    # Its own group: the launcher may have become a shell that waits for others.
    process = subprocess.Popen([*AS_A_USER, *words], env=sandbox.environment(), cwd="/",
                               text=True, errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, start_new_session=True)
    try:
        stdout, stderr = process.communicate(timeout=seconds)
        return Result(process.returncode, stdout, stderr)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        stdout, stderr = process.communicate()
        return Result(HUNG, stdout, stderr + f"(did not end within {seconds} s)")


def remove(path):
    """Removes whatever is there."""
    if not os.path.lexists(path):
        return
    for top, _, _ in os.walk(path):
        os.chmod(top, 0o700)  # releases are read-only
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


class Past:
    """The sandbox with its past. restore() brings everything back to how it was at first."""

    def __init__(self):
        self.sandbox = Sandbox()
        self.state = self.sandbox.state
        self.link = self.sandbox.links / "demo"
        self.settings = self.sandbox.settings_file
        self.settings.write_text(SETTINGS)
        #: Where a damaged file may lead: nothing may be written through. It stands for
        #: /etc/passwd, which a machine under test should not lose.
        self.precious = self.sandbox.root / "precious"
        self.precious.write_text("root:x:0:0:root:/root:/bin/bash\n" * 30)
        one_check = [{"arguments": ["--help"], "essential": True},
                     {"arguments": ["status"], "forbid": ["MIXED"]}]
        self.sandbox.write_configuration({"checks": one_check, "deep_checks": []})
        try:
            self.live()
        except BaseException:
            self.close()
            raise
        self.good = self.sandbox.root / "good"
        for name in ("state", "home"):
            subprocess.run(["cp", "-a", self.sandbox.root / name, f"{self.good}-{name}"],
                           check=True)

    def close(self):
        self.end_daemon()
        self.sandbox.close()

    def live(self):
        self.link.write_text(EARLIER)
        self.link.chmod(0o755)
        releases = self.sandbox.repository
        releases.release("1.0.0")
        self.do("upgrade")
        releases.release("1.1.0")
        self.do("upgrade")
        self.do("pin", "1.0.0")
        releases.release("1.2.0", failing("1.2.0"))
        self.do("upgrade", status=1)  # 1.2.0 is denied now
        self.live_with_settings()
        self.do("hold")
        self.complain()
        wait_for((self.state / "daemon.log").exists, "the daemon's log")
        releases.release("1.4.0")
        self.end_daemon()

    def live_with_settings(self):
        """1.3.0 changes the settings once (in the home, not in a scratch home), and is rolled
        back from: both ways are saved."""
        migrate = self.sandbox.home / "migrate"
        migrate.touch()
        self.sandbox.repository.release("1.3.0", behaviour(
            "1.3.0", f"[ ! -e \"$HOME/{migrate.name}\" ] || "
                     f"echo '{MIGRATED}' > \"{self.settings}\""))
        self.do("upgrade")
        migrate.unlink()
        assert MIGRATED in self.settings.read_text()
        self.do("rollback")  # 1.3.0 is held now
        assert self.settings.read_text() == SETTINGS

    def complain(self):
        """Gives a daemon that mcpctl started something to write to its own log."""
        configuration = self.sandbox.config_file
        good = configuration.read_text()
        for text in ("{", good):
            configuration.write_text(text)
            for pid in self.daemons():
                os.kill(pid, signal.SIGHUP)
            self.mcpctl("status")  # answered behind it

    def do(self, *arguments, status=0):
        done = self.mcpctl(*arguments)
        assert done.status == status, f"{arguments}: {done}"

    def mcpctl(self, *arguments, seconds=LIMIT_SECONDS):
        return bounded([MCPCTL, *arguments, *self.sandbox.instance_arguments()], self.sandbox,
                       seconds)

    def command(self, *arguments):
        return bounded([self.link, *arguments], self.sandbox)

    def daemons(self):
        """The daemons of this state directory, whatever its lock says."""
        found = []
        for process in pathlib.Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                words = (process / "cmdline").read_bytes().split(b"\0")
                if words[0].endswith(b"/mcp-upgraded") and os.fsencode(self.state) in words:
                    found.append(int(process.name))
        return found

    def end_daemon(self):
        """As a machine's shutdown does it. One that does not end is killed; False then."""
        return all([self.end(pid) for pid in self.daemons()])

    @staticmethod
    def end(pid):
        process = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(process, signal.SIGTERM)
            ended = bool(select.select([process], [], [], LIMIT_SECONDS)[0])
            if not ended:
                signal.pidfd_send_signal(process, signal.SIGKILL)
                select.select([process], [], [])
            return ended
        finally:
            os.close(process)

    def restore(self):
        self.end_daemon()
        for name in ("state", "home"):
            remove(self.sandbox.root / name)
            subprocess.run(["cp", "-a", f"{self.good}-{name}", self.sandbox.root / name],
                           check=True)

    def files(self):
        """Every file and link of the state directory, by its path in it."""
        names = subprocess.run(["find", ".", "!", "-type", "d", "-printf", "%P\\0"],
                               cwd=f"{self.good}-state", stdout=subprocess.PIPE, check=True)
        return sorted(name for name in names.stdout.decode().split("\0") if name)

    def find(self, name):
        """The last of the files that a pattern means; a role in it stands for its release."""
        for role, version in ROLES.items():
            name = name.replace(f"{role}/", f"apps/demo/releases/{version}-*/", 1)
        return [self.state / each for each in self.files() if fnmatch.fnmatch(each, name)][-1]

    def outside(self):
        """Everything but the state directory, and what belongs to a running daemon."""
        ours = ("state", "socket", "good-state", "good-home", "demo")
        return listing(self.sandbox.root, ours)


# --- damage ---

def half(path, _):
    content = path.read_bytes()
    rewrite(path, content[:len(content) // 2])


def emptied(path, _):
    rewrite(path, b"")


def noise(path, _):
    size = max(64, path.stat().st_size)
    rewrite(path, bytes((index * 167 + 13) % 251 for index in range(size)))


def rewrite(path, content):
    """The same file, with its mode and owner."""
    with open(path, "r+b") as file:
        file.truncate(0)
        file.write(content)


def directory(path, _):
    path.unlink()
    path.mkdir()


def fifo(path, _):
    path.unlink()
    os.mkfifo(path)


def dangling(path, _):
    path.unlink()
    path.symlink_to("nowhere")


def elsewhere(path, past):
    path.unlink()
    path.symlink_to(past.precious)


def unreadable(path, _):
    """Somebody else's, of whom one gets nothing; without root's rights, one's own."""
    if os.geteuid() == 0:
        os.lchown(path, 65534, 65534)
    path.chmod(0)


def removed(path, _):
    path.unlink()


DAMAGES = (half, emptied, noise, directory, fifo, dangling, elsewhere, unreadable, removed)
