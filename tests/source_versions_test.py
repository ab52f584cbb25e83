"""Which version of a git source is taken: the highest one, or what --to names."""

import json
import re
import shutil
import unittest

from unchanged_case import UnchangedCase


class SourceVersions(UnchangedCase):
    def setUp(self):
        super().setUp()
        for version in ("1.3.9", "1.3.11", "1.3.12-rc.1", "1.3.10"):
            self.repository.release(version)
        self.repository.release("9.0.0", tag=False)
        self.repository.git("tag", "v2")
        self.repository.git("tag", "nightly-9.9")

    def current(self):
        return json.loads(self.mcpctl("status", "--json"))["applications"][0]["current"]

    def bare(self):
        """A bare clone of the repository with what it holds now."""
        path = self.sandbox.root / "bare.git"
        shutil.rmtree(path, ignore_errors=True)
        self.repository.git("clone", "--quiet", "--bare", str(self.repository.path), str(path))
        return path

    def test_a_bare_repository_gives_its_highest_version_and_no_pre_release(self):
        self.mcpctl("upgrade", "--from", str(self.bare()))
        self.assertEqual("1.3.11", self.current()["version"])
        self.assertEqual("hello from demo 1.3.11\n", self.sandbox.demo().stdout)

    def test_a_file_url_gives_its_highest_version_also_of_a_checkout(self):
        self.mcpctl("upgrade", "--from", f"file://{self.repository.path}")
        self.assertEqual("1.3.11", self.current()["version"])

    def test_a_configured_repository_is_followed_as_it_gets_new_versions(self):
        bare = self.bare()
        self.daemon.stop()
        self.sandbox.write_configuration({"source": str(bare)})
        self.daemon.start()
        self.mcpctl("upgrade")
        self.assertIn("up to date", self.mcpctl("upgrade"))
        self.repository.release("1.4.0")
        self.repository.git("push", "--quiet", "--tags", str(bare))
        self.assertIn("1.4.0", self.mcpctl("upgrade"))
        self.assertEqual("1.4.0", self.current()["version"])

    def test_to_takes_a_tag_a_version_a_branch_or_a_commit(self):
        self.repository.git("branch", "side", "v1.3.9")
        commit = self.repository.git("rev-parse", "v1.3.10")
        cases = [("v1.3.9", "1.3.9"), ("1.3.10", "1.3.10"), ("v1.3.12-rc.1", "1.3.12-rc.1"),
                 ("side", "1.3.9"), (commit, "1.3.10"), (commit[:10], "1.3.10"),
                 ("v1.0.0", "1.0.0")]
        for source in (str(self.repository.path), str(self.bare())):
            for wanted, version in cases:
                with self.subTest(source=source, wanted=wanted):
                    self.mcpctl("upgrade", "--from", source, "--to", wanted)
                    self.assertEqual(version, self.current()["version"])
                    self.assertEqual(f"hello from demo {version}\n", self.sandbox.demo().stdout)

    def test_an_older_version_needs_to_or_force(self):
        bare = str(self.bare())
        self.mcpctl("upgrade", "--from", bare, "--to", "v1.3.12-rc.1")
        refused = self.sandbox.mcpctl("upgrade", "--from", bare)
        self.assertEqual(1, refused.status)
        self.assertIn("--to 1.3.11", refused.stdout)
        self.mcpctl("upgrade", "--from", bare, "--to", "1.3.11")

    def test_a_tag_that_moved_to_another_commit_is_refused(self):
        bare = str(self.bare())
        self.mcpctl("upgrade", "--from", bare)
        self.repository.git("tag", "--force", "v1.3.11")
        done = self.sandbox.mcpctl("upgrade", "--from", str(self.bare()))
        self.assertEqual(1, done.status, done.stdout)
        self.assertIn("v1.3.11", done.stdout)
        self.assertEqual("hello from demo 1.3.11\n", self.sandbox.demo().stdout)

    def test_the_changelog_between_the_versions_is_shown(self):
        text = self.mcpctl("upgrade", "--from", str(self.bare()), "--to", "v1.3.10")
        shown = re.findall(r"What (\S+) brings\.", text)
        self.assertEqual(["1.3.10", "1.3.9"], shown)
        text = self.mcpctl("upgrade", "--from", str(self.bare()))
        self.assertEqual(["1.3.11"], re.findall(r"What (\S+) brings\.", text))


if __name__ == "__main__":
    unittest.main()
