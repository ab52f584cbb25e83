"""What the unit says the daemon and everything below it cannot do, looked at from inside: a check
of the application tries it all, as root, and as a user. Outside of the unit the same attempts
succeed, so that a failure is the unit's doing."""

import json
import os
import pathlib
import re
import unittest

from system_fixture import SERVICE, SystemTestCase, must, run, show

#: SETUID SETGID CHOWN DAC_OVERRIDE FOWNER KILL
CAPABILITIES = (1 << 7) | (1 << 6) | (1 << 0) | (1 << 1) | (1 << 3) | (1 << 5)

#: Tries everything and prints {attempt: "done" or the name of the error} as JSON.
PROBE = r'''
import ctypes, errno, json, os, pathlib, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
found = {}

def attempt(name, action):
    try:
        action()
        found[name] = "done"
    except OSError as error:
        found[name] = errno.errorcode.get(error.errno, str(error.errno))

def call(number, *arguments):
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "")

def write(directory):
    path = pathlib.Path(directory) / ".probe"
    path.write_text("x")
    path.unlink()

def set_uid_bit():
    path = pathlib.Path("/tmp/.probe-" + str(os.getpid()))
    path.write_text("x")
    try:
        path.chmod(0o4755)
    finally:
        path.unlink()

for directory in ("/usr", "/etc", "/var/lib", "/opt", "/boot", "/srv", "/run", "/usr/local/bin",
                  "/var/lib/mcp-upgraded", "/tmp"):
    attempt("write " + directory, lambda: write(directory))
attempt("write home", lambda: write(os.environ["HOME"]))
attempt("write /proc/sys", lambda: open("/proc/sys/kernel/domainname", "w").write("x"))
attempt("kernel log", lambda: call(103, 3, ctypes.create_string_buffer(64), 64))
attempt("raw packets", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close())
attempt("raw sockets", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close())
attempt("namespace", lambda: call(272, 0x20000000))
attempt("mount", lambda: call(165, b"none", b"/mnt", b"tmpfs", 0, 0))
attempt("set-user-id", set_uid_bit)
attempt("device", lambda: os.mknod("/tmp/.probe-device", 0o20600, os.makedev(1, 3)))
attempt("host name", lambda: call(170, b"probe", 5))
attempt("kernel keyring", lambda: call(248, b"user", b"probe", b"x", 1, -3))
status = dict(line.split(":\t", 1) for line in open("/proc/self/status").read().splitlines())
for name in ("CapBnd", "CapEff", "CapAmb"):
    found[name] = int(status[name], 16)
for name in ("NoNewPrivs", "Seccomp"):
    found[name] = int(status[name])
json.dump(found, open(sys.argv[1], "w"))
'''

WRITABLE = ("write /usr/local/bin", "write /var/lib/mcp-upgraded", "write /tmp", "write home")
#: What root can do outside of the unit, in this container.
ROOT_CAN = ("write /usr", "write /etc", "write /opt", "kernel log", "raw packets", "raw sockets",
            "namespace", "mount", "set-user-id")


class Hardening(SystemTestCase):
    def probe(self, **changes):
        """Runs the probe as a check of the application; what it found."""
        self.configure({"checks": [{"arguments": ["status"]}]}, **changes)
        result = self.marks / "found.json"
        self.repository.release("1.0.0", {
            "lib/probe.py": PROBE,
            "lib/greeting.sh": "greeting_version=1.0.0\n"
                               f'[ "$1" != status ] || /usr/bin/python3 "$here/../lib/probe.py" '
                               f'{result} || exit 1\n'}, tag=False)
        self.mcpctl("upgrade")
        return json.loads(result.read_text())

    def test_it_is_rated_at_least_as_safe_as_said(self):
        done = run("systemd-analyze", "security", "--no-pager", SERVICE)
        rating = float(re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)[1])
        self.assertLessEqual(rating, 3.0, done.stdout)

    def test_the_daemon_has_six_capabilities_and_can_get_no_more(self):
        self.mcpctl("status")
        status = pathlib.Path(f"/proc/{self.main_pid()}/status").read_text()
        for name in ("CapBnd", "CapEff", "CapPrm"):
            found = int(re.search(rf"^{name}:\s*(\S+)", status, re.MULTILINE)[1], 16)
            self.assertEqual(CAPABILITIES, found, name)
        self.assertRegex(status, r"NoNewPrivs:\s*1\n")
        self.assertRegex(status, r"Seccomp:\s*2\n")

    def test_even_root_cannot_leave_the_sandbox(self):
        outside = self.marks / "outside.json"
        script = self.marks / "probe.py"
        script.write_text(PROBE)
        must("/usr/bin/python3", script, outside)
        run("umount", "/mnt")
        pathlib.Path("/tmp/.probe-device").unlink(missing_ok=True)
        before = json.loads(outside.read_text())
        for attempt in ROOT_CAN:
            self.assertEqual("done", before[attempt], f"{attempt} outside of the unit")

        found = self.probe(users=["root"], required_users=["root"])
        for attempt, result in found.items():
            if attempt in WRITABLE:
                self.assertEqual("done", result, attempt)
            elif attempt.startswith("write "):
                self.assertEqual("EROFS", result, attempt)
            elif isinstance(result, str):
                self.assertIn(result, ("EPERM", "EAFNOSUPPORT", "EACCES"), attempt)
        self.assertEqual(0, found["CapEff"] & ~CAPABILITIES)
        self.assertEqual(0, found["CapBnd"] & ~CAPABILITIES)
        self.assertEqual((1, 2), (found["NoNewPrivs"], found["Seccomp"]))

    def test_a_users_check_has_no_capability_at_all(self):
        found = self.probe()
        self.assertEqual((0, 0), (found["CapEff"], found["CapAmb"]))
        self.assertEqual((1, 2), (found["NoNewPrivs"], found["Seccomp"]))
        self.assertEqual("done", found["write home"])
        self.assertEqual("done", found["write /tmp"])
        for attempt, result in found.items():
            if isinstance(result, str) and attempt not in ("write home", "write /tmp"):
                self.assertNotEqual("done", result, attempt)

    def test_a_link_outside_of_the_writable_paths_is_refused_with_the_remedy(self):
        link = "/opt/bin/demo"
        os.makedirs("/opt/bin", exist_ok=True)
        self.configure({"source": str(self.repository.path),
                        "entry_points": [{"name": "demo", "path": "bin/demo", "link": link}]})
        said = run("mcpctl", "upgrade")
        self.assertEqual(1, said.status)
        self.assertIn("ReadWritePaths=/opt/bin", said.stdout + said.stderr)
        self.change_unit("ReadWritePaths=/opt/bin")
        must("systemctl", "restart", SERVICE)
        self.mcpctl("upgrade")
        self.assertTrue(os.path.islink(link))
        self.assertIn("/opt/bin", show(SERVICE, "ReadWritePaths"))


if __name__ == "__main__":
    unittest.main()
