"""MCP Local Manager itself, upgraded by its old scripts and by us, side by side.

The scripts write to /usr/local/bin/mcp, /tmp/mcp-backups, /tmp/mcp-*.lock and /tmp/mcp-*.log. They
run in a mount namespace of their own in which private directories lie over /usr/local/bin and /tmp,
so that the machine does not change. That takes root. The clone is copied first.
"""

import dataclasses
import json
import os
import pathlib
import select
import shutil
import subprocess
import sys
import tempfile

from applications import BUILD
from figures import Figure, Poll, interleave, median, skipped, spread, timed

QUICK, FULL = "quick upgrade, whole", "full upgrade, whole"
BACK, GAP = "rollback after a full upgrade, whole", "time without a runnable mcp, full upgrade"
ROWS = {QUICK: "<= the script", FULL: "< 0.65 x the script", BACK: "< 300 ms", GAP: "none"}
SCRIPTS_TAG = "v1.3.5"
#: What a user of it has, roughly: one server in the central list, and four clients.
SETTINGS = {
    ".mcp-central/config/mcp-servers.json": {"version": "1.1.0", "servers": {
        "time": {"enabled": True, "command": "uvx", "args": ["mcp-server-time"]}}},
    ".claude/settings.json": {"mcpServers": {}},
    ".gemini/settings.json": {"mcpServers": {}},
    ".cursor/mcp.json": {"mcpServers": {}},
}


def real(runs, checkout):
    """All rows, measured by this program run again in its own mount namespace."""
    if not checkout:
        return skip_all("needs --real CHECKOUT")
    if os.geteuid() != 0:
        return skip_all("the scripts need root, in a mount namespace of their own")
    # Not below /tmp, which is hidden from the scripts.
    place = pathlib.Path(tempfile.mkdtemp(prefix="mcpu-real-", dir="/var/tmp"))
    try:
        prepare(place, checkout)
        done = subprocess.run(
            ["unshare", "--mount", "--propagation", "private", sys.executable, "-B", __file__,
             str(place), str(runs)], env=os.environ | {"MCPU_BUILD": str(place / "build")},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            return [dataclasses.replace(skipped("real", f"failed: {done.stderr[-2000:]}"),
                                        met=False)]
        return [Figure(**row) for row in json.loads(done.stdout)]
    finally:
        shutil.rmtree(place, ignore_errors=True)


def skip_all(reason):
    return [skipped(name, reason, goal) for name, goal in ROWS.items()]


def prepare(place, checkout):
    """Copies programs and clone, since /tmp, where they may lie, is covered later."""
    for name in ["daemon/mcp-upgraded", "client/mcpctl", "client/mcp-launch",
                 "daemon/worker/mcp-upgraded-worker", "daemon/worker/mcp-upgraded-source",
                 "daemon/worker/mcp-upgraded-services"]:
        (place / "build" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(BUILD / name, place / "build" / name)
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", checkout,
                    place / "mcp-local-manager"], check=True)
    for name in ("bin", "tmp", "home"):
        (place / name).mkdir()
    (place / "tmp").chmod(0o1777)


class Real:
    """Inside the namespace: one clone, upgraded by both."""

    def __init__(self, place):
        self.place = place
        self.clone = place / "mcp-local-manager"
        self.home = place / "home"
        self.number = 0
        for name, content in SETTINGS.items():
            path = self.home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content, indent=2))
        self.git("checkout", "--quiet", SCRIPTS_TAG, "--", "scripts/quick-upgrade.sh",
                 "scripts/auto-upgrade.sh")
        self.environment = {"HOME": str(self.home), "LANG": "C.UTF-8",
                            "PATH": "/usr/local/bin:/usr/bin:/bin"}
        self.instance = ["--user", "--config", str(place / "config.json"), "--state-dir",
                         str(place / "state"), "--socket", str(place / "socket")]
        (place / "config.json").write_text(json.dumps({
            "format": 1, "idle_exit": 0,
            "applications": {"mcp": {"source": str(self.clone), "entry_points": [
                {"name": "mcp", "path": "bin/mcp", "link": str(self.home / ".local/bin/mcp")}]}}}))
        self.next_release()

    def git(self, *arguments):
        subprocess.run(["git", "-C", self.clone, "-c", "user.name=Bench",
                        "-c", "user.email=bench@example.org", *arguments], check=True)

    def next_release(self):
        """What `git pull` brings: a commit with a tag. Nobody's time counts it."""
        self.number += 1
        (self.clone / "mcp_cli/bench.py").write_text(f"number = {self.number}\n")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "next")
        self.git("tag", f"v2.0.{self.number}")

    def run(self, *command):
        done = subprocess.run(command, env=self.environment, stdin=subprocess.DEVNULL, text=True,
                              capture_output=True, check=False, cwd="/")
        if done.returncode:
            raise AssertionError(f"{command}: {done.stdout}{done.stderr}")

    def script(self, name, *arguments):
        self.run(str(self.clone / "scripts" / name), *arguments)

    def mcpctl(self, *arguments):
        self.run(str(self.place / "build/client/mcpctl"), *arguments, *self.instance)

    def upgrade(self, mode):
        self.next_release()
        return timed(lambda: self.mcpctl("upgrade", f"--{mode}"))

    def full_and_back(self):
        return self.upgrade("full"), timed(lambda: self.mcpctl("rollback"))

    def gap(self, action, path):
        """For how long the command cannot be run while `action` is under way."""
        with Poll(lambda: os.access(path, os.X_OK), pause_seconds=0.0005) as poll:
            action()
        return poll.down_ms


def cover(directory, over):
    subprocess.run(["mount", "--bind", directory, over], check=True)


def inside(place, runs):
    """Everything within the namespace; the rows as JSON on standard output."""
    cover(place / "bin", "/usr/local/bin")
    cover(place / "tmp", "/tmp")
    one = Real(place)
    one.script("quick-upgrade.sh")
    one.mcpctl("upgrade")
    own_link, their_link = one.home / ".local/bin/mcp", "/usr/local/bin/mcp"

    def full_script():
        one.script("auto-upgrade.sh", "--force")

    try:
        quick, script, full, auto, down, their_down = interleave(
            runs, lambda: one.upgrade("quick"),
            lambda: timed(lambda: one.script("quick-upgrade.sh")),
            one.full_and_back, lambda: timed(full_script),
            lambda: one.gap(lambda: one.upgrade("full"), own_link),
            lambda: one.gap(full_script, their_link))
    finally:
        end_daemon(place)
    spent, back = zip(*full)
    rows = [
        row(QUICK, quick, script, "quick-upgrade.sh", median(quick) <= median(script)),
        row(FULL, spent, auto, "auto-upgrade.sh", median(spent) < 0.65 * median(auto)),
        Figure(BACK, median(back), "ms", None, "", ROWS[BACK], median(back) < 300, runs,
               spread(back)),
        row(GAP, down, their_down, "auto-upgrade.sh", max(down) == 0),
    ]
    print(json.dumps([dataclasses.asdict(one) for one in rows]))


def row(name, ours, theirs, way, met):
    return Figure(name, median(ours), "ms", median(theirs), way, ROWS[name], met, len(ours),
                  spread(ours))


def end_daemon(place):
    """It was started on demand; its state directory's lock names it."""
    try:
        pid = json.loads((place / "state/lock").read_text())["pid"]
        descriptor = os.pidfd_open(pid)
        os.kill(pid, 15)
        select.select([descriptor], [], [], 20)
    except OSError:
        pass


if __name__ == "__main__":
    inside(pathlib.Path(sys.argv[1]), int(sys.argv[2]))
