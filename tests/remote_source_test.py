#!/usr/bin/env python3
"""Fetches from real git servers on loopback: HTTPS and ssh, honest, silent and breaking off.

Speaks to the source worker as the daemon does, over descriptor 3. Usage: this file and the path of
the worker program. Everything lives in one private directory that is removed at the end.
"""

import base64
import getpass
import json
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from git_http_fixture import GitHandler, GitServer

PROGRAM = ""
LIMIT_SECONDS = 30
SSHD = "/usr/sbin/sshd"
GIT_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}


def run(command, directory):
    done = subprocess.run(command, shell=True, cwd=directory, env=GIT_ENVIRONMENT,
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


class Refused(Exception):
    """The worker answered with an error."""


class Worker:
    """One run of the source worker."""

    def __init__(self, home, request):
        self.link, theirs = socket.socketpair()
        self.link.settimeout(LIMIT_SECONDS)
        environment = {"HOME": home, "PATH": "/usr/bin:/bin", "LOGNAME": getpass.getuser()}
        self.pid = os.posix_spawn(PROGRAM, [PROGRAM], environment,
                                  file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), 3)])
        theirs.close()
        self.notices = []
        self.peak_kb = 0
        payload = json.dumps({"resolve": request}).encode()
        self.link.sendall(b"J" + struct.pack("<I", len(payload)) + payload)

    def _exactly(self, size):
        data = b""
        while len(data) < size:
            piece = self.link.recv(size - len(data))
            if not piece:
                raise AssertionError("the worker closed the link")
            data += piece
        return data

    def frame(self):
        kind, size = self._exactly(1), struct.unpack("<I", self._exactly(4))[0]
        payload = self._exactly(size)
        return json.loads(payload) if kind == b"J" else payload

    def resolved(self):
        while True:
            message = self.frame()
            if "error" in message:
                raise Refused(json.dumps(message["error"], ensure_ascii=False))
            if "resolved" in message:
                return message["resolved"]
            self.notices.append(message["notice"])

    def contents(self, resolved):
        """Everything there is, read to the end."""
        self.frame()  # the changelog
        entries = 0
        while entries < resolved["entries"]:
            entries += int(self.frame().count(b"\n")) - 1
        indexes = json.dumps({"read": list(range(resolved["entries"]))}).encode()
        self.link.sendall(b"J" + struct.pack("<I", len(indexes)) + indexes)
        return self.frame()

    def ids(self):
        return [notice["id"] for notice in self.notices]

    def end(self, with_signal=None):
        if with_signal is not None:
            os.kill(self.pid, with_signal)
        # Not ru_maxrss: it counts what this program itself had when it started the worker.
        with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            peak = [line for line in status if line.startswith("VmHWM:")]
        self.peak_kb = int(peak[0].split()[1]) if peak else 0
        self.link.close()
        os.waitpid(self.pid, 0)


class FaultyHandler(GitHandler):
    """git behind HTTPS, with the password and the faults its server is told to have."""

    def answer(self, body):
        if self.server.fault == "unwell":
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.server.password:
            wanted = base64.b64encode(f"me:{self.server.password}".encode()).decode()
            if self.headers.get("Authorization") != f"Basic {wanted}":
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        super().answer(body)

    def send_content(self, content):
        fault = self.server.fault if self.command == "POST" else None
        if fault is None:
            super().send_content(content)
            return
        if fault == "rubbish":  # a pack whose first object is none
            super().send_content(content[:content.index(b"PACK") + 12] +
                                 b"\x7f" * (len(content) - content.index(b"PACK") - 12))
            return
        self.wfile.write(content[:len(content) * 2 // 3])
        self.wfile.flush()
        if fault == "stall":
            self.server.stalled.set()
            self.server.resume.wait(LIMIT_SECONDS)
        self.connection.close()
        self.close_connection = True


class FaultyServer(GitServer):
    def __init__(self, root, certificate, port=0):
        self.certificate = certificate
        self.fault, self.password = None, ""
        self.stalled, self.resume = threading.Event(), threading.Event()
        super().__init__(root, FaultyHandler, port)

    def prepare(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate)
        self.socket = context.wrap_socket(self.socket, server_side=True,
                                          do_handshake_on_connect=False)

    def handle_error(self, request, client_address):
        pass  # clients that hang up are part of the tests


class RemoteTest(unittest.TestCase):
    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="mcpu-test-")
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)
        self.home = os.path.join(self.top, "home")
        os.makedirs(os.path.join(self.home, ".ssh"), 0o700)
        os.makedirs(os.path.join(self.top, "work/bin"))
        self.write("work/bin/app", "#!/bin/sh\necho one\n")
        run("git init -q -b main work && cd work && chmod +x bin/app && git add -A &&"
            " git commit -qm one && git tag v1.0.0 && cd .. && git clone -q --bare work app.git",
            self.top)

    def write(self, name, text):
        with open(os.path.join(self.top, name), "w", encoding="utf-8") as file:
            file.write(text)

    def publish(self, text, tag):
        self.write("work/bin/app", text)
        run(f"cd work && git commit -qam change && git tag {tag} &&"
            " git push -q --mirror ../app.git", self.top)

    def request(self, location, **changes):
        request = {
            "location": location, "worktree": False, "closed": False,
            "known_hosts": "", "ca_file": "",
            "cache_directory": os.path.join(self.top, "cache"), "exclude": [],
            "entry_paths": ["bin/app"], "changelog_path": "CHANGELOG.md",
            "limits": {"entries": 1000, "total_bytes": 1 << 30, "file_bytes": 1 << 30,
                       "path_bytes": 1024},
            "max_clone_bytes": 1 << 30,
        }
        request.update(changes)
        return request

    def open(self, location, **changes):
        """Resolves a location; returns what it is and the worker, ended."""
        worker = Worker(self.home, self.request(location, **changes))
        try:
            resolved = worker.resolved()
            worker.text = worker.contents(resolved)
            return resolved, worker
        finally:
            worker.end()

    def refusal(self, location, **changes):
        with self.assertRaises(Refused) as caught:
            self.open(location, **changes)
        return str(caught.exception)

    def cache(self, name):
        [directory] = os.listdir(os.path.join(self.top, "cache"))
        return os.path.join(self.top, "cache", directory, name)


class HttpsTest(RemoteTest):
    def setUp(self):
        super().setUp()
        run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
            " -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1,DNS:localhost"
            " -keyout key.pem -out ca.pem && cat key.pem ca.pem >server.pem", self.top)
        self.server = FaultyServer(self.top, os.path.join(self.top, "server.pem"))
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.addCleanup(self.server.resume.set)
        self.authority = os.path.join(self.top, "ca.pem")
        self.url = f"https://localhost:{self.server.server_port}/app.git"

    def trusted(self, **changes):
        return self.open(self.url, ca_file=self.authority, **changes)

    def test_an_unknown_certificate_is_refused_by_name(self):
        text = self.refusal(self.url)
        self.assertIn("the certificate of localhost is not trusted", text)
        self.assertIn("ca_file", text)

    def test_a_clone_is_made_once_and_then_only_what_is_new_is_fetched(self):
        resolved, worker = self.trusted()
        self.assertEqual(resolved["version"], "1.0.0")
        self.assertEqual(worker.text, b"#!/bin/sh\necho one\n")
        self.assertIn("source.cloned", worker.ids())
        self.assertIn("source.fetching", worker.ids())
        _, worker = self.trusted()
        self.assertEqual(worker.ids(), [])
        self.publish("two\n", "v1.1.0")
        resolved, worker = self.trusted()
        self.assertEqual(resolved["version"], "1.1.0")
        self.assertEqual(worker.text, b"two\n")
        [fetched] = [n for n in worker.notices if n["id"] == "source.fetched"]
        self.assertLessEqual(fetched["fields"]["objects"], 4)
        resolved, _ = self.trusted(to="1.0.0")
        self.assertEqual(resolved["version"], "1.0.0")

    def test_what_is_gone_on_the_other_side_goes_here(self):
        run("git -C work branch side && git -C work push -q --mirror ../app.git", self.top)
        self.trusted(to="side")
        run("git -C work branch -D side && git -C work push -q --mirror ../app.git", self.top)
        self.assertIn("NotFound", self.refusal(self.url, ca_file=self.authority, to="side"))

    def test_a_tag_that_moved_is_refused_by_name(self):
        self.trusted()
        self.write("work/bin/app", "moved\n")
        run("cd work && git commit -qam moved && git tag -f v1.0.0 &&"
            " git push -q --mirror ../app.git", self.top)
        for _ in range(2):
            text = self.refusal(self.url, ca_file=self.authority)
            self.assertIn("the tag v1.0.0", text)
            self.assertIn("was moved", text)

    def test_credentials_are_used_and_never_shown(self):
        self.server.password = "s3cret"
        address = f"localhost:{self.server.server_port}"
        self.assertIn("wants credentials", self.refusal(self.url, ca_file=self.authority))
        wrong = self.refusal(f"https://me:wr0ng@{address}/app.git", ca_file=self.authority)
        self.assertIn("refused those given", wrong)
        self.assertNotIn("wr0ng", wrong)
        resolved, worker = self.open(f"https://me:s3cret@{address}/app.git",
                                     ca_file=self.authority)
        self.assertEqual(resolved["location"], self.url)
        self.assertNotIn("s3cret", json.dumps([resolved, worker.notices]))
        grep = subprocess.run(["grep", "-r", "s3cret", os.path.join(self.top, "cache")],
                              check=False, capture_output=True)
        self.assertEqual(grep.returncode, 1)

    def test_a_server_that_breaks_off_leaves_nothing_that_breaks_the_next_run(self):
        self.server.fault = "break"
        said = self.refusal(self.url, ca_file=self.authority)
        self.assertIn("SourceFailed", said)
        self.assertIn("broke off: try again", said)
        self.assertFalse(os.path.exists(self.cache("clone.git")))
        self.assertFalse(os.path.exists(self.cache("clone.new")))
        self.server.fault = None
        self.trusted()
        self.publish("two\n", "v1.1.0")
        self.server.fault = "break"
        self.assertIn("SourceFailed", self.refusal(self.url, ca_file=self.authority))
        self.server.fault = None
        resolved, worker = self.trusted()
        self.assertEqual(resolved["version"], "1.1.0")
        self.assertNotIn("source.cloned", worker.ids())

    def killed_while_fetching(self):
        self.server.fault = "stall"
        self.server.stalled.clear()
        self.server.resume.clear()
        worker = Worker(self.home, self.request(self.url, ca_file=self.authority))
        self.assertTrue(self.server.stalled.wait(LIMIT_SECONDS))
        worker.end(signal.SIGKILL)
        self.server.resume.set()
        self.server.fault = None

    def test_a_worker_killed_while_it_fetches_leaves_the_cache_usable(self):
        self.killed_while_fetching()
        self.assertEqual(self.trusted()[0]["version"], "1.0.0")
        self.publish("two\n", "v1.1.0")
        self.killed_while_fetching()
        open(os.path.join(self.cache("clone.git"), "refs/heads/main.lock"), "w").close()
        resolved, worker = self.trusted()
        self.assertEqual(resolved["version"], "1.1.0")
        self.assertNotIn("source.cloned", worker.ids())
        left = [name for name in os.listdir(self.cache("clone.git/objects/pack"))
                if not name.startswith("pack-")]
        self.assertEqual(left, [])

    def test_a_damaged_cache_is_made_anew(self):
        self.trusted()
        packs = self.cache("clone.git/objects/pack")
        for name in os.listdir(packs):
            path = os.path.join(packs, name)
            os.chmod(path, 0o600)
            os.truncate(path, 40)
        resolved, worker = self.trusted()
        self.assertEqual(resolved["version"], "1.0.0")
        self.assertIn("source.cache_damaged", worker.ids())
        shutil.rmtree(self.cache("clone.git"))
        os.mkdir(self.cache("clone.git"))
        self.assertEqual(self.trusted()[0]["version"], "1.0.0")

    def packs(self):
        directory = self.cache("clone.git/objects/pack")
        return {name: os.stat(os.path.join(directory, name)).st_ino
                for name in os.listdir(directory)}

    def assert_kept(self, packs, refusal):
        """The refusal is no talk of damage, and the clone is what it was."""
        self.assertIn("SourceFailed", refusal)
        self.assertEqual(packs, self.packs())

    def test_a_server_that_fails_does_not_cost_the_clone(self):
        self.trusted()
        packs = self.packs()
        self.publish("two\n", "v1.1.0")
        self.assert_kept(packs, self.refusal(self.url))  # its authority is not known
        for fault in ("unwell", "break", "rubbish"):
            with self.subTest(fault=fault):
                self.server.fault = fault
                self.assert_kept(packs, self.refusal(self.url, ca_file=self.authority))
        self.server.fault, self.server.password = None, "s3cret"
        self.assert_kept(packs, self.refusal(self.url, ca_file=self.authority))
        port = self.server.server_port
        self.server.close()
        said = self.refusal(self.url, ca_file=self.authority)
        self.assertIn("nothing listens there", said)
        self.assert_kept(packs, said)
        self.server = FaultyServer(self.top, self.server.certificate, port)
        self.addCleanup(self.server.close)
        resolved, worker = self.trusted()
        self.assertEqual(resolved["version"], "1.1.0")
        self.assertEqual(packs.items() & self.packs().items(), packs.items())
        [fetched] = [n for n in worker.notices if n["id"] == "source.fetched"]
        self.assertLessEqual(fetched["fields"]["objects"], 4)

    def test_a_clone_with_a_whole_index_of_a_damaged_pack_is_made_anew(self):
        self.trusted()
        packs = self.cache("clone.git/objects/pack")
        for name in os.listdir(packs):
            if name.endswith(".pack"):
                os.chmod(os.path.join(packs, name), 0o600)
                os.truncate(os.path.join(packs, name), 40)
        resolved, worker = self.trusted()
        self.assertEqual(resolved["version"], "1.0.0")
        self.assertIn("source.cache_damaged", worker.ids())

    def test_a_clone_beyond_its_bound_is_refused(self):
        with open(os.path.join(self.top, "work/large"), "wb") as file:
            file.write(os.urandom(3_000_000))
        run("cd work && git add -A && git commit -qm large && git push -q --mirror ../app.git",
            self.top)
        text = self.refusal(self.url, ca_file=self.authority, max_clone_bytes=1_000_000)
        self.assertIn("is larger than 1.0 MB", text)
        self.assertFalse(os.path.exists(self.cache("clone.git")))

    def test_a_repository_that_does_not_exist_is_named(self):
        text = self.refusal(self.url.replace("app.git", "other.git"), ca_file=self.authority)
        self.assertIn("other.git", text)
        self.assertIn("check the URL: the server has no git repository there", text)

    def test_a_server_that_is_not_there_is_told_with_what_to_do(self):
        self.server.close()
        text = self.refusal(self.url, ca_file=self.authority)
        self.assertIn("check host and port in the URL, and that the server runs", text)

    def test_memory_stays_bounded_while_a_large_repository_is_cloned(self):
        os.mkdir(os.path.join(self.top, "work/data"))
        for i in range(200):
            with open(os.path.join(self.top, f"work/data/{i}"), "wb") as file:
                file.write(os.urandom(100_000))
        run("cd work && git add -A && git commit -qm data && git tag v2.0.0 &&"
            " git push -q --mirror ../app.git", self.top)
        _, worker = self.trusted()
        print(f"  peak RSS while cloning 20 MB over HTTPS: {worker.peak_kb} kB", file=sys.stderr)
        if os.environ.get("MCPU_SANITIZED") != "1":
            self.assertLess(worker.peak_kb, 20_000)


class SilentTest(RemoteTest):
    def test_a_server_that_never_answers_holds_nothing_once_the_worker_is_killed(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            silent.settimeout(LIMIT_SECONDS)
            url = f"https://127.0.0.1:{silent.getsockname()[1]}/app.git"
            worker = Worker(self.home, self.request(url))
            connection, _ = silent.accept()
            worker.link.settimeout(0.3)
            with self.assertRaises(TimeoutError):
                worker.frame()
            started = time.monotonic()
            worker.end(signal.SIGKILL)
            self.assertLess(time.monotonic() - started, 5)
            connection.close()
        self.assertFalse(os.path.exists(self.cache("clone.git")))


class SshTest(RemoteTest):
    def setUp(self):
        if not os.access(SSHD, os.X_OK):
            self.skipTest(f"{SSHD} is not installed")
        super().setUp()
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", 0o755, exist_ok=True)
        for name in ("host", "other", "user"):
            run(f"ssh-keygen -q -t ed25519 -N '' -C '' -f {name}_key", self.top)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.write("sshd_config", "\n".join([
            f"Port {self.port}", "ListenAddress 127.0.0.1", f"HostKey {self.top}/host_key",
            f"AuthorizedKeysFile {self.top}/user_key.pub", "StrictModes no", "UsePAM no",
            "PermitRootLogin yes", "PasswordAuthentication no", "PidFile none",
            "KbdInteractiveAuthentication no", ""]))
        self.server = subprocess.Popen([SSHD, "-D", "-e", "-f", f"{self.top}/sshd_config"],
                                       stderr=subprocess.DEVNULL, start_new_session=True)
        self.addCleanup(self.stop)
        self.wait_until_it_listens()
        shutil.copy(f"{self.top}/user_key", f"{self.home}/.ssh/id_ed25519")
        os.chmod(f"{self.home}/.ssh/id_ed25519", 0o600)
        self.url = f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{self.top}/app.git"
        self.known_hosts = os.path.join(self.home, ".ssh/known_hosts")

    def stop(self):
        self.server.terminate()
        self.server.wait()

    def wait_until_it_listens(self):
        end = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < end:
            if self.server.poll() is not None:
                self.skipTest("sshd does not start here")
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        self.fail("sshd does not listen")

    def know(self, key, file=None):
        with open(f"{self.top}/{key}.pub", encoding="utf-8") as file_of_key:
            public = file_of_key.read()
        with open(file or self.known_hosts, "w", encoding="utf-8") as known:
            known.write(f"[127.0.0.1]:{self.port} {public}")

    def test_an_unknown_host_key_is_refused_and_the_line_it_gives_makes_it_known(self):
        message = json.loads(self.refusal(self.url))["message"]
        fingerprint = run("ssh-keygen -l -f host_key.pub", self.top).split()[1]
        self.assertIn("127.0.0.1", message)
        self.assertIn(fingerprint, message)
        line = message[message.index(f"[127.0.0.1]:{self.port} ssh-ed25519"):]
        with open(self.known_hosts, "w", encoding="utf-8") as known:
            known.write(line + "\n")
        resolved, worker = self.open(self.url)
        self.assertEqual(resolved["version"], "1.0.0")
        self.assertIn("source.cloned", worker.ids())

    def test_another_host_key_than_the_known_one_is_refused(self):
        self.know("other_key")
        self.assertIn("is not the one in", self.refusal(self.url))

    def test_a_known_hosts_file_of_its_own_may_be_hashed(self):
        file = os.path.join(self.top, "known")
        self.know("host_key", file)
        run("ssh-keygen -q -H -f known", self.top)
        self.assertEqual(self.open(self.url, known_hosts=file)[0]["version"], "1.0.0")

    def test_a_key_that_is_not_accepted_is_an_error_not_a_loop(self):
        self.know("host_key")
        shutil.copy(f"{self.top}/other_key", f"{self.home}/.ssh/id_ed25519")
        self.assertIn("accepts no key of ours", self.refusal(self.url))


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main(verbosity=2)
