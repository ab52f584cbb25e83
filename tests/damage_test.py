"""Damage of the installed release is found by content, not by times or a flag, and named."""

import os
import shutil
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

    def test_a_current_link_that_is_gone_is_seen_and_made_again_by_an_upgrade(self):
        current = self.sandbox.state / "apps" / "demo" / "current"
        current.unlink()
        self.assertNotEqual(0, self.sandbox.demo().status)
        printed = self.mcpctl("status", status=1)
        self.assertNotIn("nothing installed", printed)
        self.assertRegex(printed, f"PROBLEM .*{current}.* is missing")
        self.assertIn("what to do: run 'mcpctl repair", printed)
        self.mcpctl("upgrade")
        self.assertIn("hello from demo 1.0.0", self.sandbox.demo().stdout)
        self.assertIn("demo  ok", self.mcpctl("status"))

    def test_where_all_releases_are_gone_status_says_upgrade_and_that_installs(self):
        for gone in (self.sandbox.state / "apps", self.sandbox.state / "launch"):
            shutil.rmtree(gone)
        printed = self.mcpctl("status", status=1)
        self.assertRegex(printed, r"PROBLEM .*/current, .* is missing\n +what to do: run 'mcpctl up")
        self.assertRegex(printed, r"PROBLEM .*/entry-points.json is gone")
        self.assertIn("no release is left", self.mcpctl("repair", status=1))
        self.assertNotIn("WARNING", self.mcpctl("upgrade"))
        self.assertIn("hello from demo 1.0.0", self.sandbox.demo().stdout)
        self.assertRegex(self.mcpctl("status"), r"current +1\.0\.0")

    def test_a_command_that_is_gone_is_seen_and_what_stood_before_can_still_come_back(self):
        link = self.sandbox.links / "demo"
        link.unlink()
        self.assertRegex(self.mcpctl("status", status=1), "PROBLEM .*demo is missing")
        self.mcpctl("upgrade")
        self.assertIn("hello from demo 1.0.0", self.sandbox.demo().stdout)

    def release(self, version="*"):
        """The stored release of this version; else the current one."""
        app = self.sandbox.state / "apps" / "demo"
        if version == "*":
            return app / "releases" / (app / "current").readlink().name
        [path] = (app / "releases").glob(f"{version}-????????????")
        return path

    def said(self, *arguments, status=0):
        done = self.sandbox.mcpctl(*arguments)
        self.assertEqual(status, done.status, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def lose(self, path, how):
        """Loses one of a release's own files, in one of these ways."""
        content = bytearray(path.read_bytes())
        path.unlink()
        if how == "flipped":
            content[0] ^= 1
        if how in ("flipped", "emptied"):
            path.write_bytes(content if how == "flipped" else b"")
            path.chmod(0o444)
        elif how == "a link":
            path.symlink_to("nowhere")
        elif how == "a directory":
            path.mkdir()

    def test_a_lost_file_beside_the_tree_is_named_and_staged_again(self):
        for name in ("exec/demo", "listing", "release.json"):
            for how in ("flipped", "emptied", "removed", "a link", "a directory"):
                with self.subTest(name=name, how=how):
                    release = self.release()
                    self.lose(release / name, how)
                    said = self.said("status", "--verify", status=1)
                    self.assertIn(f"file {release / name} of release {release.name}", said)
                    self.assertNotIn("all as released", said)
                    said = self.said("upgrade")
                    self.assertIn(str(release / name), said)
                    self.assertIn("hello from demo 1.0.0", self.sandbox.demo().stdout)
                    self.assertIn("all as released", self.said("status", "--verify"))

    def test_a_release_with_a_lost_file_can_be_left_forwards_and_back(self):
        for number, (name, how) in enumerate(
                [("exec/demo", "a link"), ("exec/demo", "flipped"), ("exec/demo", "removed"),
                 ("listing", "emptied"), ("release.json", "a directory")], start=1):
            with self.subTest(name=name, how=how):
                self.repository.release(f"1.{number}.0")
                self.said("upgrade")
                broken = self.release()
                self.lose(broken / name, how)
                self.said("rollback")
                self.assertIn(f"demo 1.{number - 1}.0", self.sandbox.demo().stdout)
                self.assertRegex(self.said("releases"), f"{broken.name} .* damaged")
                self.said("upgrade", "--force")
                self.assertIn(f"demo 1.{number}.0", self.sandbox.demo().stdout)
                self.assertIn("all as released", self.said("status", "--verify"))
                self.lose(self.release() / name, how)
                self.repository.release(f"1.{number}.1")
                self.said("upgrade")
                self.said("upgrade", "--to", f"1.{number}.0", "--force")
                self.assertIn(f"demo 1.{number}.0", self.sandbox.demo().stdout)

    def test_status_verify_names_damage_of_the_way_back_and_releases_remember_it(self):
        self.repository.release("1.1.0")
        self.said("upgrade")
        back = self.release("1.0.0")
        self.assertRegex(self.said("releases"), f"{back.name} .* good")
        self.lose(back / "exec" / "demo", "flipped")
        said = self.said("status", "--verify", status=1)
        self.assertIn("all as released", said)
        self.assertIn(f"release {back.name}, which", said)
        self.assertIn(f"is damaged: file {back / 'exec' / 'demo'} content differs", said)
        self.assertIn("upgrade --to 1.0.0", said)
        self.assertRegex(self.said("releases"), f"{back.name} .* damaged")
        self.assertIn(str(back / "exec" / "demo"), self.said("rollback", status=1))
        self.said("upgrade", "--to", "1.0.0")
        self.assertIn("hello from demo 1.0.0", self.sandbox.demo().stdout)

    def spoiling_release(self, version, name):
        """A release that overwrites one of its files when it is checked on PATH."""
        program = self.repository.PROGRAM.replace("case", f"""
file="$here/../{name}"
[ "$HOME" != "{self.sandbox.home}" ] || [ -e "$HOME/spoilt" ] || {{
  chmod u+w "$file" && echo "# spoilt" >> "$file" && chmod u-w "$file" && : > "$HOME/spoilt"
}}
case""", 1)
        self.repository.release(version, {"bin/demo": program})

    def test_a_release_that_changes_its_own_files_while_it_is_checked_is_undone_and_denied(self):
        self.spoiling_release("1.1.0", "lib/version.sh")
        said = self.said("upgrade", status=1)
        self.assertIn("it changed its own files while it was checked: lib/version.sh", said)
        self.assertTrue((self.sandbox.home / "spoilt").exists())
        self.assertIn("everything is as it was", said)
        self.assertIn("hello from demo 1.0.0", self.sandbox.demo().stdout)
        self.assertIn("all as released", self.said("status", "--verify"))
        self.assertIn("own files", self.said("upgrade", status=1))

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
            self.assertIn(f"leads to releases/{path.name}, which is not there", printed)
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
