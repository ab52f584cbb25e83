"""What sources, places and sockets get that are not what they should be: an error that names the
thing and what to do next, the documented exit code, and nothing changed."""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import unittest

from daemon_fixture import DAEMON, Sandbox
from unchanged_case import UnchangedCase


class BadSources(UnchangedCase):
    def source(self, name):
        path = self.sandbox.root / name
        path.mkdir()
        return path

    def test_a_source_that_does_not_exist_is_named(self):
        missing = self.sandbox.root / "nowhere"
        self.refused("upgrade", "--from", str(missing),
                     says=[f"{missing} does not exist", "--from"])

    def test_a_configured_source_that_went_away_is_named(self):
        gone = self.sandbox.root / "gone"
        self.repository.path.rename(gone)
        self.refused("upgrade", says=[f"{self.repository.path} does not exist", "`source`"])
        self.refused("upgrade", "--full", says=f"{self.repository.path} does not exist")
        self.refused("upgrade", "--dry-run", says=f"{self.repository.path} does not exist", jobs=0)

    def test_a_source_that_is_a_file_is_named(self):
        file = self.sandbox.root / "file"
        file.write_text("not a tree")
        self.refused("upgrade", "--from", str(file), says=[f"{file} is not a directory", "give a"])

    def test_an_empty_directory_is_no_source(self):
        path = self.source("empty")
        self.refused("upgrade", "--from", str(path), says=[f"{path} is empty"])

    def test_a_directory_of_nothing_but_excluded_files_is_empty(self):
        path = self.source("excluded")
        (path / ".env").write_text("SECRET=1")
        self.refused("upgrade", "--from", str(path), says=[f"{path} is empty"])

    def test_a_repository_without_a_commit_is_named(self):
        path = self.source("unborn")
        subprocess.run(["git", "init", "--quiet", path], check=True)
        self.refused("upgrade", "--from", str(path), says=[f"{path} has no commit", "--worktree"])

    def test_a_damaged_repository_is_named(self):
        path = self.sandbox.root / "damaged"
        shutil.copytree(self.repository.path, path)
        for directory in (path / ".git" / "objects").iterdir():
            if len(directory.name) == 2:
                shutil.rmtree(directory)
        self.refused("upgrade", "--from", str(path), says=str(path))

    def test_a_source_without_its_entry_point_is_named(self):
        path = self.source("other")
        (path / "README").write_text("something else")
        self.refused("upgrade", "--from", str(path),
                     says=[f"{path} has no entry point bin/demo", "`entry_points`"])

    def test_an_entry_point_that_is_a_directory_is_none(self):
        path = self.source("other")
        (path / "bin" / "demo").mkdir(parents=True)
        (path / "bin" / "demo" / "x").write_text("x")
        self.refused("upgrade", "--from", str(path), says=[
            f"{path}: its entry point bin/demo is a directory, not a program", "`entry_points`"])

    def test_an_entry_point_that_leads_out_of_the_source_is_named_with_its_target(self):
        path = self.source("other")
        (path / "bin").mkdir()
        (path / "bin" / "demo").symlink_to("/bin/sh")
        self.refused("upgrade", "--from", str(path), says=[
            f"{path}: its entry point bin/demo is a link to /bin/sh", "`entry_points`"])

    def test_a_tag_that_does_not_exist_is_named_with_those_that_do(self):
        self.refused("upgrade", "--to", "v9.9.9",
                     says=[f"{self.repository.path} has no tag, branch or commit v9.9.9",
                           "the newest versions are v1.0.0"])

    def test_a_tag_with_terminal_codes_cannot_write_to_the_terminal(self):
        for wanted in ("v1\033[2J", "v1\nSUCCESS", "--help\x7f"):
            with self.subTest(wanted=wanted):
                said = self.refused("upgrade", f"--to={wanted}", status=2, jobs=0)
                self.assertNotIn("\033", said)
                self.assertNotIn("\x7f", said)

    def test_a_repository_without_version_tags_asks_for_one(self):
        bare = self.sandbox.root / "bare.git"
        self.repository.git("tag", "--delete", "v1.0.0")
        self.repository.git("clone", "--quiet", "--bare", str(self.repository.path), str(bare))
        self.refused("upgrade", "--from", str(bare), says=[str(bare), "no version tag", "--to"])

    def test_a_url_of_a_scheme_that_is_not_spoken_is_refused(self):
        for url in ("ftp://example.org/demo", "git://example.org/demo", "file://",
                    "https://", "ext::sh -c id/x"):
            with self.subTest(url=url):
                self.refused("upgrade", "--from", url, says=url.split(":")[0])

    def test_the_same_schemes_are_named_wherever_one_is_refused(self):
        schemes = "https, ssh or file (http from this machine alone)"
        self.refused("upgrade", "--from", "ftp://example.org/demo", says=schemes)
        self.refused("upgrade", "--from", "http://192.0.2.1/demo",
                     says=["http://192.0.2.1/demo", "anyone on the way", "https or ssh"])
        self.sandbox.write_configuration({"source": "ftp://example.org/demo"})
        self.assertIn(schemes, self.daemon.run("--check-config").stderr)

    def test_an_application_that_is_not_configured_is_named_with_those_that_are(self):
        for command in ("upgrade", "rollback", "check", "status", "releases", "hold"):
            with self.subTest(command=command):
                self.refused(command, "--app", "nonsuch", jobs=0,
                             says=['"nonsuch"', "there is: demo"])

    def test_a_release_that_does_not_exist_is_named(self):
        for command in (["rollback", "--to"], ["pin"], ["unpin"], ["hold"], ["unhold"]):
            self.refused(*command, "9.9.9", says=["9.9.9", "mcpctl releases"], jobs=0)

    def test_a_job_that_does_not_exist_is_named(self):
        for command in ("logs", "watch", "cancel"):
            self.refused(command, "999", says="job 999", jobs=0)


class BadPlaces(UnchangedCase):
    def test_a_file_in_place_of_the_link_directory_is_named(self):
        place = self.sandbox.root / "links"
        place.write_text("a file")
        self.configure_link(place / "demo")
        self.repository.release("1.1.0")
        self.refused("upgrade", says=[f"{place} is not a directory", f"{place}/demo"])

    def configure_link(self, link):
        """Restarts the daemon with the entry point in another place."""
        self.daemon.stop()
        self.sandbox.write_configuration({"entry_points": [
            {"name": "demo", "path": "bin/demo", "link": str(link)}]})
        self.daemon.start()

    def test_a_link_directory_that_cannot_be_written_is_named(self):
        place = self.sandbox.root / "links"
        place.mkdir()
        self.configure_link(place / "demo")
        self.repository.release("1.1.0")
        with unwritable(place) as reason:
            if reason:
                self.skipTest(reason)
            self.refused("upgrade", says=[f"cannot write {place}", f"{place}/demo",
                                          "entry_points"])

    def test_a_directory_in_place_of_the_link_is_named(self):
        place = self.sandbox.root / "links"
        (place / "demo").mkdir(parents=True)
        self.configure_link(place / "demo")
        self.repository.release("1.1.0")
        self.refused("upgrade", says=[f"{place}/demo is neither a file nor a link", "move it"])

    def test_too_little_space_is_told_with_how_much_is_needed(self):
        self.daemon.stop()
        self.sandbox.write_configuration(
            limits={"quick_free_bytes": 1 << 50, "full_free_bytes": 1 << 50})
        self.daemon.start()
        self.repository.release("1.1.0")
        for mode in ("--quick", "--full"):
            self.refused("upgrade", mode, says=["not enough space", str(self.sandbox.state),
                                                "needed", "free some"])

    def test_a_release_larger_than_the_limits_names_the_file(self):
        self.daemon.stop()
        self.sandbox.write_configuration(limits={"file_bytes": 1 << 16})
        self.daemon.start()
        self.repository.release("1.1.0", {"lib/large": "x" * (1 << 17)})
        self.refused("upgrade", says=["lib/large", "larger", "exclude"])


@contextlib.contextmanager
def unwritable(directory):
    """Makes a directory unwritable for whoever runs this; yields why that cannot be done, or None."""
    if os.geteuid() != 0:
        directory.chmod(0o555)
        yield None
        directory.chmod(0o755)
        return
    made = subprocess.run(["chattr", "+i", directory], capture_output=True, check=False)
    if made.returncode == 0:
        yield None
        subprocess.run(["chattr", "-i", directory], check=True)
        return
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", directory],
                             capture_output=True, check=False)
    if mounted.returncode:
        yield "root can write everywhere, and neither chattr nor mount works here"
        return
    try:
        yield None
    finally:
        subprocess.run(["umount", directory], check=True)


class BadSockets(UnchangedCase):
    install = False

    def leave_a_socket(self):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(self.sandbox.socket))

    def test_a_socket_file_without_a_daemon_does_not_keep_one_from_starting(self):
        self.leave_a_socket()
        self.addCleanup(self.end_started_daemon)
        self.assertIn("demo", self.mcpctl("status"))

    def test_a_daemon_takes_the_place_of_a_socket_without_one(self):
        self.leave_a_socket()
        self.daemon.start()
        self.mcpctl("status")
        self.assertEqual(0, self.daemon.stop())

    def test_a_file_in_place_of_the_socket_is_named_and_left_alone(self):
        self.sandbox.socket.write_text("precious")
        done = self.daemon.run()
        self.assertEqual(1, done.status)
        self.assertIn(str(self.sandbox.socket), done.stderr)
        self.assertEqual("precious", self.sandbox.socket.read_text())
        self.addCleanup(self.end_started_daemon)
        done = self.sandbox.mcpctl("status")
        self.assertEqual(5, done.status, done.stderr)
        self.assertIn(str(self.sandbox.socket), done.stderr)
        self.assertEqual("precious", self.sandbox.socket.read_text())

    def test_the_system_instance_is_not_started_on_demand(self):
        self.leave_a_socket()
        before = sorted(os.listdir(self.sandbox.root))
        arguments = [str(word) for word in self.sandbox.instance_arguments() if word != "--user"]
        done = subprocess.run([DAEMON.parent.parent / "client" / "mcpctl", "status", "--system",
                               *arguments], env=self.sandbox.environment(), text=True,
                              capture_output=True, timeout=30, check=False)
        self.assertEqual(5, done.returncode, done.stderr)
        self.assertIn(str(self.sandbox.socket), done.stderr)
        self.assertIn("systemctl status mcp-upgraded", done.stderr)
        self.assertEqual(before, sorted(os.listdir(self.sandbox.root)))

    def test_a_second_daemon_with_another_socket_names_the_first(self):
        self.repository.release("1.0.0")
        self.daemon.start()
        self.mcpctl("upgrade")
        other = self.sandbox.root / "other"
        with self.nothing_changes():
            done = subprocess.run(
                [DAEMON, "--user", "--config", self.sandbox.config_file, "--state-dir",
                 self.sandbox.state, "--socket", other], env=self.sandbox.environment(), text=True,
                capture_output=True, timeout=30, check=False)
        self.assertEqual(1, done.returncode)
        for words in (str(self.daemon.pid), str(self.sandbox.socket), str(self.sandbox.state)):
            self.assertIn(words, done.stderr)
        self.assertFalse(other.exists())


class StrangeNames(unittest.TestCase):
    def test_paths_with_spaces_quotes_and_chinese_are_paths_like_any_other(self):
        for name in ("a b'c", "升级 中文", '"$(id)`;*?'):
            with self.subTest(name=name):
                self.upgrade_and_back(name)

    def upgrade_and_back(self, name):
        sandbox = Sandbox(name)
        try:
            sandbox.repository.release("1.0.0", {"lib/说明 书.txt": "你好\n"})
            sandbox.daemon.start()
            for arguments in (["upgrade"], ["upgrade", "--full"], ["rollback"], ["check"],
                              ["status", "--verify"], ["config", "validate"]):
                done = sandbox.mcpctl(*arguments)
                self.assertEqual(0, done.status, f"{arguments} {done.stdout}{done.stderr}")
                if arguments == ["upgrade"]:
                    sandbox.repository.release("1.1.0")
                    self.assertIn(str(sandbox.state), done.stdout)
            self.assertEqual("hello from demo 1.0.0\n", sandbox.demo().stdout)
            self.assertTrue((pathlib.Path(os.readlink(sandbox.state / "apps/demo/current")))
                            .name.startswith("1.0.0-"))
            kept = sandbox.state / "apps" / "demo" / "current" / "tree" / "lib" / "说明 书.txt"
            self.assertEqual("你好\n", kept.read_text(encoding="utf-8"))
        finally:
            sandbox.close()


if __name__ == "__main__":
    unittest.main()
