"""What `rollback --to before` leaves, and the ways on from there."""

import shutil
import unittest

from job_fixture import JobTestCase, behaviour

OLD = '{"servers": {"one": {}}}\n'


class BeforeAdoption(JobTestCase):
    def test_where_nothing_stood_the_releases_changes_of_files_go_back_too(self):
        claude = self.sandbox.home / ".claude.json"
        claude.write_text(OLD)
        self.sandbox.write_configuration({"files": [{"path": ".claude.json"}]})
        self.install_first_release()
        self.repository.release("1.1", behaviour("1.1", (
            f'[ "$HOME" != "{self.sandbox.home}" ] || echo "{{}}" > "{claude}"')))
        self.mcpctl("upgrade")
        self.assertEqual("{}\n", claude.read_text())
        self.assertIn("restored ~/.claude.json", self.mcpctl("rollback", "--to", "before"))
        self.assertEqual(OLD, claude.read_text())
        self.assertFalse((self.sandbox.links / "demo").exists())

    def test_what_stands_there_again_can_be_adopted_again_though_it_is_older(self):
        self.adopt_checkout()
        self.repository.release("1.1")
        self.mcpctl("upgrade")
        self.repository.git("checkout", "--quiet", "v1.0")
        self.mcpctl("rollback", "--to", "before")
        self.assertTrue(self.link.readlink().is_relative_to(self.repository.path))
        status = self.sandbox.mcpctl("status").stdout
        self.assertIn("what stood there before adoption", status)
        self.assertNotIn("nothing installed", status)
        self.assertNotIn("foreign", status)
        self.assertRegex(status, "roll back to +1.1")
        self.assertIn("comes back to a release", self.mcpctl("check", status=1))
        self.mcpctl("upgrade")
        self.assert_runs("1.0")

    def test_it_comes_back_also_when_the_command_was_removed(self):
        self.adopt_checkout()
        stood = self.link.readlink()
        self.mcpctl("upgrade")
        self.link.unlink()
        self.mcpctl("rollback", "--to", "before")
        self.assertEqual(stood, self.link.readlink())
        self.assertIn("stands there already",
                      self.sandbox.mcpctl("rollback", "--to", "before").stderr)

    def test_nothing_unattended_takes_it_over_again(self):
        self.adopt_checkout()
        self.mcpctl("upgrade")
        self.mcpctl("rollback", "--to", "before")
        stood = self.link.readlink()
        self.repository.release("1.1")
        self.assertIn("the next upgrade is a person's", self.mcpctl("upgrade", "--unattended"))
        self.assertEqual(stood, self.link.readlink())

    def test_rollbacks_from_there_go_from_release_to_release(self):
        self.install_first_release()
        for version in ("1.1", "1.2"):
            self.repository.release(version)
            self.mcpctl("upgrade")
        self.mcpctl("rollback", "--to", "before")
        for version in ("1.2", "1.1", "1.2"):
            self.assertRegex(self.sandbox.mcpctl("status").stdout, f"roll back to +{version}")
            self.mcpctl("rollback")
            self.assert_runs(version)

    def test_a_snapshot_that_somebody_removed_is_told_of(self):
        self.install_first_release()
        self.repository.release("1.1")
        self.mcpctl("upgrade")
        shutil.rmtree(self.sandbox.state / "snapshots" / "2")
        self.assertRegex(self.mcpctl("rollback"), "WARNING.* no saved configuration files of .* are left of job 2")


if __name__ == "__main__":
    unittest.main()
