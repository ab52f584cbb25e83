"""Damage of the installed release is found by content, not by times or a flag, and named."""

import os
import stat
import unittest

from unchanged_case import UnchangedCase


class Damage(UnchangedCase):
    def damage(self, name):
        tree = self.sandbox.state / "apps" / "demo" / "current" / "tree"
        path = tree / name
        data = bytearray(path.read_bytes())
        data[0] ^= 1
        mode, times = path.stat().st_mode, (path.stat().st_atime_ns, path.stat().st_mtime_ns)
        path.chmod(0o644)
        path.write_bytes(data)
        path.chmod(stat.S_IMODE(mode))
        os.utime(path, ns=times)

    def test_status_verify_names_the_file_with_one_flipped_byte(self):
        self.assertIn("all as released", self.mcpctl("status", "--verify"))
        self.damage("CHANGELOG.md")
        text = self.mcpctl("status", "--verify", status=1)
        self.assertIn("CHANGELOG.md", text)
        self.assertNotIn("lib/version.sh", text)
        code, lines = self.sandbox.mcpctl_json("status", "--verify")
        self.assertEqual(1, code)
        damaged = lines[0]["applications"][0]["verified"]["damaged"]
        self.assertEqual(["CHANGELOG.md"], [one.split(":")[0] for one in damaged])

    def test_check_exits_1_on_damage_that_no_command_notices_and_names_it(self):
        self.mcpctl("check")
        self.damage("CHANGELOG.md")
        self.assertIn("CHANGELOG.md", self.mcpctl("check", status=1))
        self.assertIn("CHANGELOG.md", self.mcpctl("check", "--deep", status=1))
        self.assertIn("damaged", self.mcpctl("releases"))

    def test_a_command_whose_program_is_gone_is_seen_without_comparing_and_mended(self):
        tree = self.sandbox.state / "apps" / "demo" / "current" / "tree"
        tree.parent.chmod(0o755)
        tree.rename(self.sandbox.root / "moved")
        self.assertNotEqual(0, self.sandbox.demo().status)
        printed = self.mcpctl("status", status=1)
        self.assertRegex(printed, "command .*demo  broken")
        self.assertRegex(printed, "PROBLEM .*demo cannot run: its program bin/demo of release 1.0.0-")
        self.assertIn("what to do: run 'mcpctl upgrade --force", printed)
        self.mcpctl("upgrade", "--force")
        self.assertIn("hello from demo 1.0.0", self.sandbox.demo().stdout)
        self.assertIn("demo  ok", self.mcpctl("status"))

    def test_a_current_release_that_is_gone_is_installed_again_or_rolled_back_from(self):
        self.repository.release("1.1.0")
        self.mcpctl("upgrade")
        releases = self.sandbox.state / "apps" / "demo" / "releases"
        for command, runs in (("upgrade", "1.1.0"), ("rollback", "1.0.0")):
            [path] = releases.glob("1.1.0-*")
            path.rename(self.sandbox.root / command)
            printed = self.mcpctl("status", status=1)
            self.assertIn(f"cannot run: its program is missing from release {path.name}", printed)
            self.mcpctl(command)
            self.assertIn(f"hello from demo {runs}", self.sandbox.demo().stdout)
            self.assertIn("demo  ok", self.mcpctl("status"))

    def test_a_file_too_many_and_one_too_few_are_named(self):
        tree = self.sandbox.state / "apps" / "demo" / "current" / "tree" / "lib"
        tree.chmod(0o755)
        (tree / "extra.sh").write_text("x")
        (tree / "version.sh").rename(self.sandbox.root / "version.sh")
        text = self.mcpctl("status", "--verify", status=1)
        self.assertIn("lib/extra.sh", text)
        self.assertIn("lib/version.sh", text)

    def test_the_same_release_again_mends_the_damage(self):
        self.damage("lib/version.sh")
        self.mcpctl("upgrade", "--force")
        self.mcpctl("check")
        self.assertIn("all as released", self.mcpctl("status", "--verify"))


if __name__ == "__main__":
    unittest.main()
