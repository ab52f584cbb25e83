"""Many upgrades in one run: all succeed, and nothing grows. --count N, or SOAK_COUNT, sets how many:
50 if nothing is said; a thousand take some minutes."""

import json
import os
import socket
import sys
import unittest

from daemon_fixture import DaemonTestCase, children_of, wait_for

COUNT = int(os.environ.get("SOAK_COUNT", "50"))

#: What may be different between the middle and the end without being growth.
MEMORY_KILOBYTES = 1024
DIRECTORY_BYTES = 64 * 1024


class Soak(DaemonTestCase):
    def setUp(self):
        super().setUp()
        # Checks that need no interpreter: the engine is what is soaked. So few jobs that retention is
        # in force from the middle of the run on.
        self.sandbox.write_configuration(retention={"jobs": 20}, application={
            "checks": [{"arguments": ["--help"], "essential": True}], "deep_checks": []})
        self.branches = []
        for number in (1, 2, 3):
            self.repository.release(f"1.0.{number}", files={"data": f"{number:04}" * 1024})
            self.branches.append(f"v1.0.{number}")
        self.daemon.start()
        self.connection = socket.socket(socket.AF_UNIX)
        self.addCleanup(self.connection.close)
        self.connection.connect(str(self.sandbox.socket))
        self.buffer = b""

    def call(self, method, **parameters):
        """The last reply of a call that streams."""
        call = {"method": f"dev.mcplocal.Upgrade.{method}", "parameters": parameters, "more": True}
        self.connection.sendall(json.dumps(call).encode() + b"\0")
        while True:
            while b"\0" not in self.buffer:
                data = self.connection.recv(1 << 16)
                self.assertTrue(data, "the daemon closed the connection")
                self.buffer += data
            frame, self.buffer = self.buffer.split(b"\0", 1)
            reply = json.loads(frame)
            self.assertNotIn("error", reply)
            if not reply.get("continues"):
                return reply["parameters"]

    def upgrade(self, number):
        """Another release each time: back and forth between stored ones, and, every fifth time,
        one that was never there, so that staging and retention have something to do."""
        mode = "full" if number % 3 == 0 else "quick"
        if number % 5 == 0:
            version = f"2.0.{number}"
            self.repository.release(version, files={"data": f"{number:04}" * 1024})
            to = f"v{version}"
        else:
            to = self.branches[number % len(self.branches)]
        result = self.call("Upgrade", app="demo", mode=mode, to=to)["result"]
        self.assertEqual("done", result["outcome"], f"upgrade {number}: {result['message']}")

    def wait_idle(self):
        """A job's result is known a moment before the last of it is put away."""
        wait_for(lambda: not (self.sandbox.state / "journal").exists(), "the journal goes")
        wait_for(lambda: not self.call("Status").get("running"), "the daemon is idle")
        wait_for(lambda: not children_of(self.daemon.pid), "the end of the job's workers")

    def fewest_descriptors(self):
        """What is open for good, and not only at this moment."""
        return min(self.daemon.descriptors() for _ in range(200))

    def state_size(self):
        """Bytes and entries of the state directory."""
        size, entries = 0, 0
        for directory, names, files in os.walk(self.sandbox.state):
            entries += len(names) + len(files)
            size += sum(os.lstat(os.path.join(directory, name)).st_size for name in files)
        return size, entries

    def look(self):
        self.wait_idle()
        return (self.daemon.memory_kilobytes("VmRSS"), self.fewest_descriptors(),
                *self.state_size())

    def test_every_upgrade_succeeds_and_neither_memory_nor_descriptors_nor_state_grow(self):
        for number in range(1, COUNT + 1):
            self.upgrade(number)
            if number == COUNT // 2:
                warm = self.look()
        end = self.look()
        print(f"{COUNT} upgrades: memory {warm[0]} -> {end[0]} KB, descriptors {warm[1]} -> "
              f"{end[1]}, state {warm[2]} -> {end[2]} bytes, {warm[3]} -> {end[3]} entries")
        self.assertLess(end[0], warm[0] + MEMORY_KILOBYTES, "the daemon's memory grows")
        self.assertLessEqual(end[1], warm[1], "descriptors leak")
        self.assertLess(end[2], warm[2] + DIRECTORY_BYTES, "the state directory grows")
        # A release may stay a little longer where another job of its own still needs it.
        self.assertLess(end[3], warm[3] + 30, "the state directory gets more and more entries")


if __name__ == "__main__":
    if "--count" in sys.argv:
        position = sys.argv.index("--count")
        COUNT = int(sys.argv[position + 1])
        del sys.argv[position:position + 2]
    unittest.main()
