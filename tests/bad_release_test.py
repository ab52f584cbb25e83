"""What a release gets whose tree tries to reach outside of itself or holds what is no release's: it
is refused by the name of the entry with what to do about it, before anything is staged."""

import os
import pathlib
import socket
import stat
import subprocess
import unittest

from unchanged_case import UnchangedCase


class BadReleases(UnchangedCase):
    def commit(self, entries, version="1.1.0"):
        """Commits the tree of HEAD and these raw entries, (mode, name, content) with names that
        git's own commands would refuse; a list as content is a tree of such entries."""
        tree = self.entries_of("HEAD")
        for mode, name, content in entries:
            tree[name] = (mode, self.object_of(content))
        root = self.tree_of(tree)
        commit = self.repository.git("commit-tree", root, "-p", "HEAD", "-m", version)
        self.repository.git("update-ref", "refs/heads/main", commit)

    def object_of(self, content):
        if isinstance(content, list):
            return self.tree_of({name: (mode, self.object_of(inner))
                                 for mode, name, inner in content})
        return self.hash(content, "blob")

    def entries_of(self, treeish):
        listed = subprocess.run(["git", "-C", self.repository.path, "ls-tree", "-z", treeish],
                                capture_output=True, check=True).stdout
        entries = {}
        for line in listed.split(b"\0")[:-1]:
            fields, name = line.split(b"\t", 1)
            mode, _, identity = fields.decode().split()
            entries[name] = (mode, identity)
        return entries

    def tree_of(self, entries):
        raw = b"".join(mode.lstrip("0").encode() + b" " + name + b"\0" + bytes.fromhex(identity)
                       for name, (mode, identity) in sorted(entries.items()))
        return self.hash(raw, "tree")

    def hash(self, content, kind):
        done = subprocess.run(["git", "-C", self.repository.path, "hash-object", "-w", "-t", kind,
                               "--literally", "--stdin"], input=content, capture_output=True,
                              check=True)
        return done.stdout.decode().strip()

    def refused_tree(self, entries, *says):
        """The commit is refused, with these words, by upgrades of every kind."""
        self.commit(entries)
        try:
            self.refused("upgrade", says=says)
            self.refused("upgrade", "--dry-run", says=says, jobs=0)
        finally:
            self.repository.git("update-ref", "refs/heads/main", "v1.0.0")

    def test_links_that_lead_out_of_the_tree_are_refused_by_name(self):
        targets = {b"outside": b"../secret", b"lib/../../x": b"lib/../../x",
                   b"absolute": b"/etc/passwd", b"proc": b"/proc/self/root", b"top": b"..",
                   b"own": b"lib/../.."}
        for name, target in targets.items():
            with self.subTest(target=target):
                link = name.replace(b"/", b"-")
                self.refused_tree([("120000", link, target)], link.decode(), target.decode(),
                                  "remove it from the source", "`exclude`")

    def test_links_that_lead_out_over_another_link_are_refused(self):
        # a -> lib/deep, then a/../../.. is outside although its text stays inside.
        self.refused_tree([("120000", b"a", b"lib/deep"),
                           ("40000", b"deep", [("120000", b"l", b"../a/../../secret")])],
                          "deep/l", "leads out of the tree")

    def test_links_in_a_circle_to_nothing_and_without_end_are_refused(self):
        self.refused_tree([("120000", b"a", b"b"), ("120000", b"b", b"a")], "circle")
        self.refused_tree([("120000", b"endless", b"x" * 10_000)], "endless", "link")
        self.refused_tree([("120000", b"empty", b"")], "empty", "link")

    def test_a_file_below_a_link_is_refused(self):
        tree = self.entries_of("HEAD")
        inner = self.tree_of({b"x": ("100644", self.hash(b"x", "blob"))})
        raw = b"".join(
            mode.lstrip("0").encode() + b" " + name + b"\0" + bytes.fromhex(identity)
            for name, (mode, identity) in [*tree.items(),
                                           (b"twice", ("120000", self.hash(b"lib", "blob"))),
                                           (b"twice", ("40000", inner))])
        commit = self.repository.git("commit-tree", self.hash(raw, "tree"), "-p", "HEAD", "-m", "x")
        self.repository.git("update-ref", "refs/heads/main", commit)
        self.refused("upgrade", says="twice")

    def test_names_that_climb_or_hide_are_refused(self):
        for name in (b"..", b".", b"../escape", b"a/../../b", b"/abs", b"a//b", b"a\nb",
                     b"a\033[2Jb", b"a\x7f"):
            with self.subTest(name=name):
                self.commit([("100755", name, b"#!/bin/sh\n")])
                said = self.refused("upgrade", says=["remove it", "exclude"])
                self.assertNotIn("\033", said)
                self.assertNotIn("a\nb", said)
                self.repository.git("update-ref", "refs/heads/main", "v1.0.0")

    def test_directories_that_climb_are_refused(self):
        for name in (b"..", b"."):
            with self.subTest(name=name):
                self.refused_tree([("40000", name, [("100644", b"evil", b"x")])], name.decode())

    def test_a_repository_within_the_tree_is_refused(self):
        self.refused_tree([("40000", b"sub", [("40000", b".git",
                                               [("100644", b"config", b"[core]\n")])])], ".git")

    def test_a_submodule_is_refused_by_name(self):
        tree = self.entries_of("HEAD")
        tree[b"module"] = ("160000", self.repository.git("rev-parse", "HEAD"))
        commit = self.repository.git("commit-tree", self.tree_of(tree), "-p", "HEAD", "-m", "x")
        self.repository.git("update-ref", "refs/heads/main", commit)
        self.refused("upgrade", says=["module", "submodule", "exclude"])

    def test_a_large_file_pointer_is_refused_by_name(self):
        self.refused_tree([("100644", b"model.bin",
                            b"version https://git-lfs.github.com/spec/v1\noid sha256:" +
                            b"0" * 64 + b"\nsize 5\n")], "model.bin", "LFS", "exclude")

    def test_set_uid_modes_in_a_tree_never_reach_the_disk(self):
        self.commit([("104755", b"suid", b"#!/bin/sh\n"), ("102755", b"sgid", b"#!/bin/sh\n")])
        done = self.sandbox.mcpctl("upgrade")
        if done.status:
            self.assertRegex(done.stdout, "suid|sgid")
            return
        for path in (self.sandbox.state / "apps").rglob("*"):
            self.assertFalse(path.lstat().st_mode & (stat.S_ISUID | stat.S_ISGID), path)

    def test_links_that_stay_inside_are_taken_as_they_are(self):
        self.commit([("120000", b"inside", b"lib/version.sh"),
                     ("40000", b"deep", [("120000", b"up", b"../lib")]),
                     ("120000", b"nowhere", b"lib/not-there")])
        self.mcpctl("upgrade")
        tree = self.sandbox.state / "apps" / "demo" / "current" / "tree"
        self.assertEqual("lib/version.sh", os.readlink(tree / "inside"))
        self.assertEqual("../lib", os.readlink(tree / "deep" / "up"))
        self.assertEqual("lib/not-there", os.readlink(tree / "nowhere"))

    def test_names_in_any_language_and_bytes_that_are_no_text_are_taken(self):
        names = [b"a b'\"$(id)`", "说明 书".encode(), b"latin-\xe9\xff", b"-rf", b"back\\slash",
                 b"x" * 255]
        self.commit([("100644", name, b"here\n") for name in names])
        self.mcpctl("upgrade")
        tree = os.fsencode(self.sandbox.state / "apps" / "demo" / "current" / "tree")
        self.assertEqual(set(names), set(names) & set(os.listdir(tree)))
        self.mcpctl("check")
        self.mcpctl("rollback")


class BadDirectories(UnchangedCase):
    """The same of plain directories, whose entries are the file system's."""

    def setUp(self):
        super().setUp()
        self.directory = self.sandbox.root / "plain"
        for name in ("bin/demo", "lib/version.sh", "lib/greeting.sh", "CHANGELOG.md"):
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text((self.repository.path / name).read_text().replace("1.0.0", "1.1.0"))
            path.chmod(0o755 if name == "bin/demo" else 0o644)

    def refused_directory(self, *says):
        self.refused("upgrade", "--from", str(self.directory), says=says)

    def test_links_that_lead_out_are_refused(self):
        for target in ("/etc/passwd", "../demo/bin/demo", str(self.sandbox.settings_file)):
            with self.subTest(target=target):
                link = self.directory / "link"
                link.symlink_to(target)
                self.refused_directory("link", target, "`exclude`")
                link.unlink()

    def test_a_fifo_is_refused_and_never_waited_for(self):
        os.mkfifo(self.directory / "pipe")
        self.refused_directory("pipe is a FIFO", "exclude it")

    def test_a_fifo_in_place_of_the_entry_point_is_refused(self):
        (self.directory / "bin" / "demo").unlink()
        os.mkfifo(self.directory / "bin" / "demo")
        self.refused_directory("bin/demo is a FIFO")

    def test_a_socket_is_refused(self):
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(self.directory / "sock"))
            self.refused_directory("sock is a socket", "exclude it")

    def test_a_device_is_refused(self):
        device = self.directory / "null"
        try:
            os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        except PermissionError:
            self.skipTest("only root can make a device")
        self.refused_directory("null is a device", "exclude it")

    def test_set_uid_and_set_gid_files_are_refused(self):
        for bit in (stat.S_ISUID, stat.S_ISGID):
            path = self.directory / "lib" / "tool"
            path.write_text("#!/bin/sh\n")
            path.chmod(0o755 | bit)
            with self.subTest(bit=oct(bit)):
                self.refused_directory("lib/tool is set-uid or set-gid", "chmod ug-s")
            path.unlink()

    def test_a_name_with_a_line_break_is_refused_in_one_line(self):
        (self.directory / "a\n[2026-01-01 00:00:00] [SUCCESS] upgraded").write_text("x")
        said = self.refused("upgrade", "--from", str(self.directory), says="control character")
        self.assertNotIn("\n[2026-01-01 00:00:00]", said)

    def test_a_link_to_the_directory_is_as_good_as_the_directory(self):
        link = self.sandbox.root / "link"
        link.symlink_to(self.directory)
        self.mcpctl("upgrade", "--from", str(link))
        self.assertEqual("hello from demo 1.1.0\n", self.sandbox.demo().stdout)

    def test_what_is_excluded_is_not_judged(self):
        self.daemon.stop()
        self.sandbox.write_configuration({"exclude": ["pipe", "out/"]})
        self.daemon.start()
        os.mkfifo(self.directory / "pipe")
        (self.directory / "out").mkdir()
        pathlib.Path(self.directory / "out" / "link").symlink_to("/etc/passwd")
        self.mcpctl("upgrade", "--from", str(self.directory))
        self.assertEqual("hello from demo 1.1.0\n", self.sandbox.demo().stdout)


if __name__ == "__main__":
    unittest.main()
