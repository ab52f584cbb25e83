#!/usr/bin/env python3
"""What is remembered of releases: that one failed its checks, that a person rolled back from it or
holds it, and what unattended upgrades and people's own do about that."""

import unittest

from job_fixture import JobTestCase, failing


class Denied(JobTestCase):
    def setUp(self):
        super().setUp()
        self.install_first_release()
        self.broken = self.sandbox.root / "broken"
        self.broken.touch()
        self.repository.release("1.1", failing("1.1", code=f'[ ! -e "{self.broken}" ] || exit 7'))
        self.mcpctl("upgrade", status=1)
        self.broken.unlink()  # what was wrong is right again; the release is remembered

    def test_a_plain_upgrade_refuses_it_naming_check_log_and_ways_on(self):
        printed = self.mcpctl("upgrade", status=1)
        for part in ("demo status", "mcpctl logs 2 -v", "--force", "--to 1.1", "mcpctl unhold 1.1-"):
            self.assertIn(part, printed)
        self.assert_runs("1.0")
        self.assertIn("demo status", self.mcpctl("logs", "2"))

    def test_status_does_not_offer_it(self):
        printed = self.mcpctl("status")
        self.assertRegex(printed, "newer +1.1, denied: it failed check 'demo status' in job 2")

    def test_an_unattended_one_skips_it_and_says_so(self):
        printed = self.mcpctl("upgrade", "--unattended")
        self.assertIn("skipped 1.1-", printed)
        self.assertIn("demo status", printed)
        self.assert_runs("1.0")

    def assert_cleared(self):
        self.mcpctl("rollback")
        self.assert_runs("1.0")
        self.mcpctl("upgrade")
        self.assert_runs("1.1")

    def test_force_goes_there_and_clears_the_mark(self):
        self.mcpctl("upgrade", "--force")
        self.assert_runs("1.1")
        self.assert_cleared()

    def test_asking_for_that_version_goes_there_and_clears_the_mark(self):
        self.mcpctl("upgrade", "--to", "1.1")
        self.assert_runs("1.1")
        self.assert_cleared()

    def test_unhold_clears_the_mark_of_a_version(self):
        self.mcpctl("unhold", "1.1")
        self.mcpctl("upgrade", "--unattended")
        self.assert_runs("1.1")

    def test_unhold_as_the_refusal_says_it_clears_the_mark(self):
        printed = self.mcpctl("upgrade", status=1)
        self.assertRegex(printed, "mcpctl unhold 1.1-[0-9a-f]+ --user")
        self.mcpctl("unhold", printed.split("mcpctl unhold ")[1].split()[0])
        self.mcpctl("upgrade", "--unattended")
        self.assert_runs("1.1")

    def test_it_is_its_content_that_is_remembered(self):
        self.repository.git("tag", "v1.1.1")
        self.repository.git("tag", "--delete", "v1.1")
        self.mcpctl("upgrade", status=1)
        self.assert_runs("1.0")

    def test_a_newer_release_is_not_concerned(self):
        self.repository.release("1.2")
        self.mcpctl("upgrade", "--unattended")
        self.assert_runs("1.2")

    def test_it_is_remembered_by_a_daemon_that_was_killed(self):
        self.daemon.restart()
        self.wait_idle()
        self.mcpctl("upgrade", status=1)
        self.assert_runs("1.0")

    def test_forced_it_must_still_pass_its_checks(self):
        self.broken.touch()
        self.mcpctl("upgrade", "--force", status=1)
        self.mcpctl("upgrade", "--to", "1.1", status=1)
        self.assert_runs("1.0")


class Held(JobTestCase):
    def setUp(self):
        super().setUp()
        self.install_first_release()
        self.repository.release("1.1")

    def test_a_release_that_was_rolled_back_from_is_held_until_something_newer_appears(self):
        self.mcpctl("upgrade")
        self.mcpctl("rollback")
        printed = self.mcpctl("upgrade", "--unattended")
        self.assertIn("skipped 1.1-", printed)
        self.assert_runs("1.0")
        self.repository.release("1.2")
        self.mcpctl("upgrade", "--unattended")
        self.assert_runs("1.2")

    def test_a_person_gets_a_held_release_with_a_warning(self):
        self.mcpctl("upgrade")
        self.mcpctl("rollback")
        printed = self.mcpctl("upgrade")
        self.assertRegex(printed, r"\[WARNING\] 1\.1-\w+ is held")
        self.assert_runs("1.1")
        # And it is not held any more.
        self.mcpctl("rollback", "--to", "1.0")
        status, [answer] = self.sandbox.mcpctl_json("releases")
        self.assertEqual(0, status)
        release = next(one for one in answer["releases"] if one["version"] == "1.1")
        self.assertTrue(release["held"])
        self.mcpctl("unhold", release["release"])
        self.mcpctl("upgrade", "--unattended")
        self.assert_runs("1.1")

    def test_hold_alone_pauses_unattended_upgrades_only(self):
        self.mcpctl("hold")
        status, [answer] = self.sandbox.mcpctl_json("status")
        self.assertEqual((0, True), (status, answer["applications"][0]["paused"]))
        self.assertIn("hold", self.mcpctl("upgrade", "--unattended"))
        self.assert_runs("1.0")
        self.mcpctl("unhold")
        self.mcpctl("upgrade", "--unattended")
        self.assert_runs("1.1")
        self.mcpctl("hold")
        self.repository.release("1.2")
        self.mcpctl("upgrade")
        self.assert_runs("1.2")

    def test_a_release_is_named_with_or_without_a_v(self):
        self.mcpctl("upgrade")
        self.assertIn("hold", self.mcpctl("hold", "v1.1"))
        self.assertIn("pinned", self.mcpctl("pin", "v1.0"))
        _, [answer] = self.sandbox.mcpctl_json("releases")
        marks = {one["version"]: (one["held"], one["pinned"]) for one in answer["releases"]}
        self.assertEqual({"1.1": (True, False), "1.0": (False, True)}, marks)
        self.mcpctl("rollback", "--to", "v1.0")
        self.assert_runs("1.0")

    def test_a_release_that_is_not_here_yet_can_not_be_held_by_a_mistyped_name(self):
        done = self.sandbox.mcpctl("hold", "9.9-nothing")
        self.assertEqual(1, done.status)
        self.assertIn("9.9-nothing", done.stderr)

    def test_an_older_version_takes_a_persons_word(self):
        self.mcpctl("upgrade")
        self.repository.git("checkout", "--quiet", "v1.0")
        printed = self.mcpctl("upgrade", status=1)
        for part in ("1.0", "older than the current 1.1", "--to 1.0", "--force"):
            self.assertIn(part, printed)
        self.assert_runs("1.1")
        self.mcpctl("upgrade", "--to", "1.0")
        self.assert_runs("1.0")
        self.mcpctl("rollback")
        self.mcpctl("upgrade", "--force")
        self.assert_runs("1.0")

    def test_an_older_version_is_no_failure_of_the_daily_run(self):
        self.mcpctl("upgrade")
        self.repository.git("checkout", "--quiet", "v1.0")
        printed = self.mcpctl("upgrade", "--unattended")
        self.assertRegex(printed, "skipped 1.0-.*older than the current 1.1")
        self.assert_runs("1.1")


if __name__ == "__main__":
    unittest.main()
