"""Sources that never answer: servers that accept and say nothing, or one byte at a time, and a file
that blocks whoever opens it. Each is given up with its name, the limit and what to do next."""

import contextlib
import os
import socket
import subprocess
import threading
import unittest

from daemon_fixture import DaemonTestCase


class SilentSources(DaemonTestCase):
    def setUp(self):
        super().setUp()
        self.repository.release("1.0.0")
        self.sandbox.write_configuration(limits={"resolve_seconds": 1})
        self.daemon.start()

    def server(self, talk=lambda connection: None):
        """A port that accepts; `talk` is called with each connection, on a thread."""
        listener = socket.create_server(("127.0.0.1", 0))
        connections = []

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connections.append(listener.accept()[0])
                    talk(connections[-1])

        thread = threading.Thread(target=serve)
        thread.start()

        def end():
            listener.shutdown(socket.SHUT_RDWR)
            for connection in connections:
                connection.close()
            thread.join()
            listener.close()

        self.addCleanup(end)
        return listener.getsockname()[1]

    def given_up(self, source, *says, options=()):
        done = self.sandbox.mcpctl("upgrade", *options, "--from", source)
        said = done.stdout + done.stderr
        self.assertEqual(1, done.status, said)
        for words in ("was not done after 1 s", "try again", "raise limits.resolve_seconds", *says):
            self.assertIn(words, said)
        self.assertNotIn("s3cret", said)

    def test_a_server_that_says_nothing(self):
        port = self.server()
        for scheme in ("http", "https", "ssh"):
            with self.subTest(scheme=scheme):
                self.given_up(f"{scheme}://me:s3cret@127.0.0.1:{port}/r.git",
                              f"{scheme}://me:***@127.0.0.1:{port}/r.git", "its server is well")

    def test_a_server_that_says_one_byte_at_a_time(self):
        ended = threading.Event()
        self.addCleanup(ended.set)

        def trickle(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while not ended.wait(0.05):
                connection.sendall(b"x")

        port = self.server(trickle)
        self.given_up(f"http://127.0.0.1:{port}/r.git", f"http://127.0.0.1:{port}/r.git")

    def test_a_file_that_blocks_whoever_opens_it(self):
        bare = self.sandbox.root / "bare.git"
        subprocess.run(["git", "clone", "--quiet", "--bare", self.repository.path, bare],
                       check=True)
        (bare / "config").unlink()
        os.mkfifo(bare / "config")
        self.given_up(str(bare), str(bare), "its file system is mounted and alive")

    def test_a_dry_run_says_the_same(self):
        port = self.server()
        source = f"ssh://127.0.0.1:{port}/r.git"
        self.given_up(source, source, options=["--dry-run"])


if __name__ == "__main__":
    unittest.main()
