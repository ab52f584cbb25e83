"""What the benchmark upgrades: an application whose checks cost nothing, so that what is left is
our own part, and a large one. Each lives in a private sandbox with the real programs."""

import contextlib
import pathlib
import random
import shutil
import sys

from caller import Connection

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

# Found through the line above; the other modules take them from here.
from daemon_fixture import BUILD, DAEMON, Sandbox, wait_for

#: Files and sizes of the trees, as MCP Local Manager has them and as a large application may.
SMALL_FILES, SMALL_BYTES, SMALL_CHANGED = 60, 7_000, 10
LARGE_FILES, LARGE_BYTES, LARGE_CHANGED = 5_300, 14_530, 300

#: The files that MCP Local Manager's clients keep their settings in.
SETTINGS = [".mcp-central/config/mcp-servers.json", ".claude/settings.json", ".claude.json",
            ".codex/config.toml", ".gemini/settings.json", ".cursor/mcp.json"]


class Bench:
    """A sandbox, a running daemon, and releases on demand."""

    def __init__(self, files=SMALL_FILES, size=SMALL_BYTES, changed=SMALL_CHANGED,
                 **configuration):
        self.random = random.Random(7)
        self.files, self.size, self.changed = files, size, changed
        self.number = 0
        self.sandbox = Sandbox()
        self.repository = self.sandbox.repository
        for name in SETTINGS:
            path = self.sandbox.home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("[a]\n" if name.endswith("toml") else '{"servers": {}}\n')
        application = {
            "files": [{"path": name} for name in SETTINGS],
            "checks": [{"arguments": ["--help"], "essential": True}, {"arguments": ["status"]},
                       {"arguments": ["check"]}],
            "deep_checks": [],
        } | configuration.pop("application", {})
        self.sandbox.write_configuration(application=application, **configuration)
        # Faster to build; objects are read the same way.
        self.repository.git("config", "core.compression", "1")
        self._first_tree()
        self.sandbox.daemon.start()
        self.connection = Connection(self.sandbox.socket)

    def close(self):
        self.connection.close()
        self.sandbox.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def daemon(self):
        return self.sandbox.daemon

    def _content(self):
        # Hexadecimal digits: half of it is information, as in source code and less than in images.
        return self.random.randbytes(self.size // 2).hex() + "\n"

    def _path(self, index):
        return f"lib/part{index % max(8, self.files // 50)}/file{index}.py"

    def _first_tree(self):
        for index in range(self.files - 2):
            self.repository.write(self._path(index), self._content())
        self.repository.write("CHANGELOG.md", "# Changelog\n")
        # A program that does nothing and has no interpreter to start.
        shutil.copy("/bin/true", self.repository.path / "demo")
        (self.repository.path / "bin").mkdir()
        (self.repository.path / "demo").rename(self.repository.path / "bin/demo")
        self._commit()

    def next_release(self):
        """Commits a release in which `changed` files differ."""
        for index in self.random.sample(range(self.files - 2), self.changed):
            self.repository.write(self._path(index), self._content())
        self._commit()

    def _commit(self):
        self.number += 1
        self.repository.git("add", "--all")
        self.repository.git("commit", "--quiet", "--message", f"release {self.number}")
        self.repository.git("tag", f"v1.0.{self.number}")

    def settle(self):
        """A job's result is shown a moment before its last files are put away."""
        wait_for(lambda: not (self.sandbox.state / "journal").exists(), "the journal goes")

    def upgrade(self, mode="quick", **parameters):
        """Events, result and milliseconds of an upgrade to the newest release."""
        self.settle()
        return self.connection.job("Upgrade", app="demo", mode=mode, **parameters)

    def rollback(self):
        self.settle()
        return self.connection.job("Rollback", app="demo")

    def tree(self):
        """The current release's tree."""
        state = self.sandbox.state / "apps/demo"
        return (state / "current").resolve() / "tree"


@contextlib.contextmanager
def scratch(bench, name):
    """A directory beside the state, on the same file system, removed at the end."""
    path = bench.sandbox.root / name
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
