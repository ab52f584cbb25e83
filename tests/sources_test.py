"""Where releases come from, through mcpctl: what of a source becomes a release, what is left out or
refused, and what a person is told about it."""

import json
import os
import re
import unittest

from daemon_fixture import listing
from unchanged_case import UnchangedCase


class Sources(UnchangedCase):
    def current(self):
        return json.loads(self.mcpctl("status", "--json"))["applications"][0]["current"]

    def tree(self):
        return self.sandbox.state / "apps" / "demo" / "current" / "tree"

    def warning(self, text):
        lines = [line for line in text.splitlines() if "[WARNING]" in line]
        self.assertEqual(1, len(lines), text)
        return lines[0]


class Checkouts(Sources):
    def setUp(self):
        super().setUp()
        self.head = self.repository.release("1.1.0", {"lib/gone.sh": "gone\n"})
        self.repository.write("lib/greeting.sh", "greeting_version=1.1.0\ngreeting=edited\n")
        self.repository.write("lib/untracked.sh", "untracked\n")
        (self.repository.path / "lib" / "gone.sh").unlink()

    def test_head_is_taken_and_what_differs_is_listed(self):
        warning = self.warning(self.mcpctl("upgrade"))
        for words in ("3 files with differences from HEAD", "lib/greeting.sh", "lib/untracked.sh",
                      "lib/gone.sh", "--worktree"):
            self.assertIn(words, warning)
        self.assertEqual("hello from demo 1.1.0\n", self.sandbox.demo().stdout)
        self.assertFalse((self.tree() / "lib" / "untracked.sh").exists())
        self.assertTrue((self.tree() / "lib" / "gone.sh").exists())
        self.assertEqual(("1.1.0", self.head),
                         (self.current()["version"], self.current()["commit"]))

    def test_worktree_takes_tracked_files_as_they_are(self):
        text = self.mcpctl("upgrade", "--worktree")
        self.assertIn("lib/greeting.sh", text)
        self.assertEqual("edited from demo 1.1.0\n", self.sandbox.demo().stdout)
        self.assertFalse((self.tree() / "lib" / "untracked.sh").exists())
        self.assertFalse((self.tree() / "lib" / "gone.sh").exists())

    def test_what_is_staged_for_a_commit_is_part_of_the_worktree_alone(self):
        self.repository.git("add", "lib/untracked.sh")
        self.mcpctl("upgrade", "--worktree")
        self.assertTrue((self.tree() / "lib" / "untracked.sh").exists())
        self.mcpctl("upgrade", "--force")
        self.assertFalse((self.tree() / "lib" / "untracked.sh").exists())

    def test_a_clean_checkout_warns_of_nothing(self):
        self.repository.git("checkout", "--quiet", "--", ".")
        self.repository.git("clean", "--quiet", "--force")
        self.assertNotIn("[WARNING]", self.mcpctl("upgrade"))

    def test_excluded_files_are_not_listed_as_different(self):
        self.repository.git("checkout", "--quiet", "--", ".")
        self.repository.git("clean", "--quiet", "--force")
        for name in (".env", ".env.local", "__pycache__/x.pyc", "backups/old"):
            self.repository.write(name, "x")
        self.assertNotIn("[WARNING]", self.mcpctl("upgrade"))

    def test_a_commit_after_a_tag_is_named_after_both(self):
        self.repository.git("checkout", "--quiet", "--", ".")
        self.repository.release("1.2.0", tag=False)
        self.mcpctl("upgrade")
        self.assertRegex(self.current()["version"], r"^1\.1\.0-1-g[0-9a-f]{7,}$")

    def test_hooks_and_filters_of_the_checkout_are_never_run(self):
        marker = self.sandbox.root / "ran"
        hook = f"#!/bin/sh\ntouch '{marker}'\n"
        for name in ("post-checkout", "pre-commit", "fsmonitor"):
            path = self.repository.path / ".git" / "hooks" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(hook)
            path.chmod(0o755)
        with open(self.repository.path / ".git" / "config", "a", encoding="utf-8") as config:
            config.write(f'[core]\n\tfsmonitor = "touch {marker}"\n'
                         f'[filter "x"]\n\tclean = touch {marker}\n\tsmudge = touch {marker}\n')
        (self.repository.path / ".git" / "info").mkdir(exist_ok=True)
        (self.repository.path / ".git" / "info" / "attributes").write_text("* filter=x\n")
        self.mcpctl("upgrade")
        self.mcpctl("upgrade", "--worktree", "--force")
        self.assertFalse(marker.exists())

    def test_the_source_is_left_as_it_was(self):
        before = listing(self.repository.path)
        self.mcpctl("upgrade")
        self.mcpctl("upgrade", "--worktree")
        self.mcpctl("check", "--deep")
        self.assert_same(before, listing(self.repository.path))


class Directories(Sources):
    def setUp(self):
        super().setUp()
        self.directory = self.sandbox.root / "plain tree"
        for name in ("bin/demo", "lib/version.sh", "lib/greeting.sh", "CHANGELOG.md"):
            text = (self.repository.path / name).read_text().replace("1.0.0", "1.1.0")
            self.write(name, text, 0o755 if name == "bin/demo" else 0o644)

    def write(self, name, text, mode=0o644):
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def upgrade(self, **options):
        return self.mcpctl("upgrade", "--from", str(self.directory), **options)

    def configure(self, **application):
        self.daemon.stop()
        self.sandbox.write_configuration(application)
        self.daemon.start()

    def test_what_never_belongs_to_a_release_is_left_out(self):
        for name in ("lib/.git/config", "backups/b", ".env", ".env.production", "lib/.env",
                     "__pycache__/x.pyc", "lib/__pycache__/y.pyc"):
            self.write(name, "secret", 0o600)
        self.write("lib/backups/kept", "kept")
        self.upgrade()
        found = sorted(os.path.relpath(os.path.join(top, name), self.tree())
                       for top, _, names in os.walk(self.tree()) for name in names)
        self.assertEqual(["CHANGELOG.md", "bin/demo", "lib/backups/kept", "lib/greeting.sh",
                          "lib/version.sh"], found)
        self.assertEqual("1.1.0", self.current()["version"])

    def test_a_file_that_others_may_not_read_is_refused_by_name(self):
        self.write("lib/token", "secret", 0o600)
        self.refused("upgrade", "--from", str(self.directory),
                     says=["lib/token cannot be read by others", "exclude it or chmod o+r"])

    def test_an_excluded_file_may_be_unreadable(self):
        self.write("lib/token", "secret", 0o600)
        self.write("notes/a.txt", "x", 0o600)
        self.configure(exclude=["lib/token", "notes/"])
        self.upgrade()
        self.assertFalse((self.tree() / "lib" / "token").exists())
        self.assertFalse((self.tree() / "notes").exists())

    def test_missing_execute_bits_are_set_on_the_copy_with_a_warning(self):
        (self.directory / "bin" / "demo").chmod(0o644)
        self.assertIn("bin/demo is an entry point but was not executable",
                      self.warning(self.upgrade()))
        self.assertEqual("hello from demo 1.1.0\n", self.sandbox.demo().stdout)
        self.assertEqual(0o644, (self.directory / "bin" / "demo").stat().st_mode & 0o777)

    def test_a_git_source_without_the_execute_bit_is_treated_the_same(self):
        self.repository.release("1.2.0")
        self.repository.git("update-index", "--chmod=-x", "bin/demo")
        self.repository.git("commit", "--quiet", "--message", "not executable")
        self.repository.git("checkout", "--quiet", "--force", "HEAD")
        self.assertIn("bin/demo is an entry point", self.warning(self.mcpctl("upgrade")))
        self.assertEqual(0, self.sandbox.demo("--help").status)

    def test_to_and_worktree_need_a_repository(self):
        self.refused("upgrade", "--from", str(self.directory), "--to", "v1",
                     says=["plain directory", "--to"])
        self.refused("upgrade", "--from", str(self.directory), "--worktree",
                     says=["plain directory", "--worktree"])

    def test_a_directory_without_a_version_is_not_called_older(self):
        (self.directory / "CHANGELOG.md").unlink()
        self.upgrade()
        self.assertEqual("hello from demo 1.1.0\n", self.sandbox.demo().stdout)

    def test_a_relative_path_is_that_of_the_caller(self):
        text = self.mcpctl("upgrade", "--from", os.path.relpath(self.directory, "/"))
        self.assertIn(str(self.directory), text)

    def test_unchanged_files_are_told_apart_from_changed_ones(self):
        self.upgrade()
        self.write("lib/version.sh", "version=1.1.0 # again\n")
        text = self.upgrade()
        self.assertRegex(text, r"4 files, 1 of them written")
        self.assertRegex(text, r"1 file changed, 0 added, 0 removed")


class DefaultSource(UnchangedCase):
    install = False

    def setUp(self):
        super().setUp()
        self.sandbox.write_configuration({"source": ""})
        self.repository.release("1.0.0")
        self.daemon.start()

    def adopt(self, link=None):
        (self.sandbox.links / "demo").symlink_to(link or self.repository.path / "bin" / "demo")

    def test_without_a_source_the_setting_is_named(self):
        self.refused("upgrade", says=["source", "--from"], jobs=0)
        self.refused("upgrade", "--dry-run", says=["source", "--from"], jobs=0)
        status, lines = self.sandbox.mcpctl_json("upgrade", "--dry-run")
        self.assertEqual((1, "NoSource"), (status, lines[-1]["error"]))

    def test_the_adopted_checkout_is_the_default_source_at_its_head(self):
        self.adopt()
        text = self.mcpctl("upgrade")
        self.assertRegex(text, re.escape(f"updating {self.repository.path} alone no longer"))
        self.repository.release("1.1.0", tag=False)
        text = self.mcpctl("upgrade")
        self.assertNotIn("no longer changes", text)
        self.assertEqual("hello from demo 1.1.0\n", self.sandbox.demo().stdout)
        self.assertEqual(str(self.repository.path),
                         json.loads(self.mcpctl("status", "--json"))["applications"][0]["source"])

    def test_a_relative_link_and_one_over_another_link_lead_to_the_checkout_too(self):
        other = self.sandbox.root / "by-name"
        other.symlink_to(self.repository.path)
        self.adopt(os.path.relpath(other / "bin" / "demo", self.sandbox.links))
        self.mcpctl("upgrade")
        self.assertEqual("hello from demo 1.0.0\n", self.sandbox.demo().stdout)

    def test_the_checkout_stays_the_source_after_going_back_to_before(self):
        self.adopt()
        self.mcpctl("upgrade")
        self.mcpctl("rollback", "--to", "before")
        self.assertEqual(str(self.repository.path / "bin" / "demo"),
                         os.readlink(self.sandbox.links / "demo"))
        self.mcpctl("upgrade")
        self.assertEqual("hello from demo 1.0.0\n", self.sandbox.demo().stdout)

    def test_a_configured_source_comes_before_the_adopted_checkout(self):
        self.adopt()
        bare = self.sandbox.root / "bare.git"
        self.repository.release("2.0.0")
        self.repository.git("clone", "--quiet", "--bare", str(self.repository.path), str(bare))
        self.repository.release("3.0.0")
        self.daemon.stop()
        self.sandbox.write_configuration({"source": str(bare)})
        self.daemon.start()
        self.mcpctl("upgrade")
        self.assertEqual("hello from demo 2.0.0\n", self.sandbox.demo().stdout)


if __name__ == "__main__":
    unittest.main()
