"""While releases are switched, whoever starts the command gets one whole release: never none, and
never files of two. The same command through a plain link shows that the test can see a mix."""

import os
import subprocess
import threading
import unittest

from client_fixture import Peer
from daemon_fixture import DaemonTestCase

# As Python and Node do with their own paths: each part is found by resolving the path again, and
# loaded when it is first needed.
PROGRAM = """#!/usr/bin/python3 -IS
import os, sys, time

def load(name):
    here = os.path.dirname(os.path.realpath(sys.argv[0]))
    with open(os.path.join(here, "..", "lib", name)) as file:
        return file.read().strip()

if "--help" in sys.argv:
    print("usage: demo")
    sys.exit()
versions = set()
for number in range(PARTS):
    versions.add(load(f"part{number}"))
    time.sleep(0.004)
print("MIXED" if len(versions) != 1 else versions.pop())
"""

SWITCHES = 200
PARTS = 10


def release_files(version):
    files = {f"lib/part{number}": version + "\n" for number in range(PARTS)}
    return files | {"bin/demo": PROGRAM.replace("PARTS", str(PARTS))}


class Runner(threading.Thread):
    """Runs a command in a tight loop and counts what came of it."""

    def __init__(self, command, environment):
        super().__init__()
        self.command = command
        self.environment = environment
        self.outputs = {}
        self.ended = threading.Event()

    def run(self):
        while not self.ended.is_set():
            output = self.once()
            self.outputs[output] = self.outputs.get(output, 0) + 1

    def once(self):
        try:
            done = subprocess.run([self.command], env=self.environment, text=True, cwd="/",
                                  stdin=subprocess.DEVNULL, capture_output=True, timeout=30,
                                  check=False)
        except OSError as error:
            return f"cannot be started: {error}"
        except subprocess.TimeoutExpired:
            return "does not end"
        return done.stdout.strip() if done.returncode == 0 else f"failed: {done.stderr[-300:]}"

    def finish(self):
        self.ended.set()
        self.join()
        return self.outputs


class Mixing(DaemonTestCase):
    def setUp(self):
        super().setUp()
        # The check costs what the command costs: one is enough here.
        self.sandbox.write_configuration({
            "checks": [{"arguments": ["--help"], "essential": True, "forbid": ["MIXED"]}],
            "deep_checks": []})
        for version in ("1.0.0", "1.1.0"):
            self.repository.release(version, release_files(version))
        self.daemon.start()
        self.mcpctl("upgrade", "--to", "1.0.0")
        self.mcpctl("upgrade", "--to", "1.1.0")

    def switch(self, times):
        """Goes back and forth: each rollback undoes the one before."""
        with Peer(self.sandbox.socket) as peer:
            for number in range(times):
                replies = peer.stream("Rollback", configs="never", request_id=f"switch-{number}")
                result = replies[-1]["parameters"]["result"]
                self.assertEqual("done", result["outcome"], result)

    def test_the_command_is_never_missing_and_never_mixed_but_a_plain_link_is(self):
        plain = self.sandbox.root / "plain"
        current = self.sandbox.state / "apps" / "demo" / "current"
        os.symlink(current / "tree" / "bin" / "demo", plain)
        environment = self.sandbox.environment()
        launched = Runner(self.sandbox.links / "demo", environment)
        linked = Runner(plain, environment)
        launched.start()
        linked.start()
        try:
            self.switch(SWITCHES)
        finally:
            good, bad = launched.finish(), linked.finish()
        self.assertEqual({"1.0.0", "1.1.0"}, set(good), good)
        self.assertGreater(sum(good.values()), SWITCHES // 4, "the command was hardly in use")
        self.assertIn("MIXED", bad, f"the plain link showed no mix: {bad}")


if __name__ == "__main__":
    unittest.main()
