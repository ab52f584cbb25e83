#!/usr/bin/env python3
"""What becomes of people's configuration files in upgrades and rollbacks: saved before any code of
a new release runs, put back when the release changed them and had to go, and never taken from a
person who edited them since."""

import os
import pathlib
import stat
import unittest

from daemon_fixture import listing, wait_for
from job_fixture import JobTestCase, behaviour

OLD = '{"servers": {"one": {}}}\n'
EDITED = '{"servers": {"mine": {}}}\n'


class ConfigurationTestCase(JobTestCase):
    """Managed: ~/.claude.json, ~/.demo/settings.json, and ~/.never.json, which is absent."""

    def setUp(self):
        super().setUp()
        self.home = self.sandbox.home
        self.claude = self.home / ".claude.json"
        self.claude.write_text(OLD)
        self.never = self.home / ".never.json"
        self.sandbox.write_configuration({"files": [
            {"path": ".claude.json", "servers": "/servers"}, {"path": ".demo/settings.json"},
            {"path": ".never.json"}]})
        self.install_first_release()

    def in_home(self, code):
        """Code that runs in the real home only: after the switch."""
        return f'if [ "$HOME" = "{self.home}" ]; then {code}; fi'

    def snapshot(self, job):
        return self.sandbox.state / "snapshots" / str(job)

    def saved(self, job):
        return {path.read_text() for path in self.snapshot(job).glob("**/content/*")}

    def upgrade_that_writes(self, version, content, path="$HOME/.claude.json"):
        """An upgrade whose release changes a managed file in its last check, and never again."""
        once = self.sandbox.root / f"wrote-{version}"
        self.repository.release(version, behaviour(version, self.in_home(
            f"""[ -e "{once}" ] || printf '%s\\n' '{content}' > "{path}"; : > "{once}" """)))
        return self.mcpctl("upgrade")


class BeforeAnyCodeRuns(ConfigurationTestCase):
    def test_all_files_are_saved_before_any_code_of_the_new_release_runs(self):
        seen = self.sandbox.root / "seen"
        self.repository.release("1.1", behaviour("1.1", (
            f'mkdir "{seen}" 2> /dev/null && cp -r "{self.sandbox.state}/snapshots" "{seen}"')))
        self.mcpctl("upgrade")
        manifest = next(seen.glob("snapshots/2/*/manifest.json")).read_text()
        for name in (".claude.json", ".demo/settings.json", ".never.json"):
            self.assertIn(name, manifest)
        self.assertEqual({OLD}, {path.read_text() for path in seen.glob("snapshots/2/*/content/*")})

    def test_the_checks_before_the_switch_see_a_copy_of_the_home(self):
        seen = self.sandbox.root / "seen"
        code = (f'echo "$HOME $(pwd) $(cat "$HOME/.claude.json")" >> "{seen}"; '
                'for i in .claude.json .demo/settings.json .never.json .new; do '
                'echo "{}" > "$HOME/$i"; done; exit 1')
        self.repository.release("1.1", behaviour("1.1", code))
        home = listing(self.home)
        self.mcpctl("upgrade", status=1)
        self.assert_same(home, listing(self.home))
        lines = seen.read_text().splitlines()
        self.assertTrue(lines)
        for line in lines:
            scratch, directory = line.split()[:2]
            self.assertEqual(scratch, directory)
            self.assertTrue(scratch.startswith(str(self.sandbox.state / "scratch")), line)
            self.assertFalse(os.path.exists(scratch), "left behind")
        self.assertTrue(lines[0].endswith(OLD.strip()), lines[0])

    def test_the_copy_is_the_users_own_and_nobody_elses(self):
        seen = self.sandbox.root / "seen"
        self.repository.release("1.1", behaviour("1.1", (
            f'[ -e "{seen}" ] || stat -c "%a %u" "$HOME" "$HOME/.claude.json" > "{seen}"')))
        self.claude.chmod(0o600)
        self.mcpctl("upgrade")
        uid = os.getuid()
        self.assertEqual([f"700 {uid}", f"600 {uid}"], seen.read_text().splitlines())


class ChangedByTheRelease(ConfigurationTestCase):
    def break_after(self, version, code):
        """A release that runs in the copy, and changes something and fails in the real home."""
        self.repository.release(version, behaviour(version, self.in_home(f"{code}; exit 5")))

    def test_what_a_failing_release_changed_is_put_back_and_its_version_kept(self):
        self.claude.chmod(0o640)
        home = listing(self.home)
        self.break_after("1.1", 'echo "{\\"by\\": \\"1.1\\"}" > "$HOME/.claude.json"')
        printed = self.mcpctl("upgrade", status=1)
        self.assert_same(home, listing(self.home))
        self.assert_runs("1.0")
        self.assertIn("the new release changed ~/.claude.json", printed)
        self.assertIn("restored ~/.claude.json", printed)
        found = [path for path in self.snapshot(2).glob("**/found/*") if path.is_file()]
        self.assertEqual(['{"by": "1.1"}\n'], [path.read_text() for path in found])
        self.assertEqual("0o600", oct(stat.S_IMODE(found[0].stat().st_mode)))

    def test_a_file_that_a_failing_release_made_is_gone_again(self):
        home = listing(self.home)
        self.break_after("1.1", 'echo new > "$HOME/.never.json"')
        self.mcpctl("upgrade", status=1)
        self.assert_same(home, listing(self.home))

    def test_a_file_that_a_failing_release_removed_is_back(self):
        home = listing(self.home)
        self.break_after("1.1", 'rm -f "$HOME/.claude.json"')
        self.mcpctl("upgrade", status=1)
        self.assert_same(home, listing(self.home))

    def test_a_mode_that_a_failing_release_set_goes_back_too(self):
        self.claude.chmod(0o600)
        home = listing(self.home)
        self.break_after("1.1", 'chmod 666 "$HOME/.claude.json"')
        printed = self.mcpctl("upgrade", status=1)
        self.assertIn("restored ~/.claude.json", printed)
        self.assert_same(home, listing(self.home))

    def test_a_directory_in_a_files_place_is_named_until_it_is_away(self):
        self.break_after("1.1", 'cd "$HOME"; rm -rf .claude.json; mkdir .claude.json; '
                                'echo {} > .never.json')
        printed = self.mcpctl("upgrade", status=6)
        self.assertIn("~/.claude.json is a directory, not a regular file: move it away", printed)
        self.assertFalse(self.never.exists(), "the rest is put back nevertheless")
        status = self.sandbox.mcpctl("status")
        self.assertEqual(6, status.status)
        self.assertIn("move it away", status.stdout)
        self.claude.rmdir()
        self.daemon.restart()
        wait_for(lambda: self.sandbox.mcpctl("status").status == 0, "the rest of the undo")
        self.assertEqual(OLD, self.claude.read_text())

    def test_what_a_good_release_changed_stays(self):
        self.upgrade_that_writes("1.1", EDITED.strip())
        self.assertEqual(EDITED, self.claude.read_text())

    def test_an_edit_made_while_the_job_waits_in_its_checks_is_kept_when_it_is_undone(self):
        gate, waits = self.sandbox.root / "gate", self.sandbox.root / "waits"
        self.repository.release("1.1", behaviour(
            "1.1", f': > "{waits}"; until [ -e "{gate}" ]; do sleep 0.02; done; exit 1'))
        job = self.begin("upgrade")
        self.wait_for_file(waits)
        self.claude.write_text(EDITED)
        gate.touch()
        self.assertEqual(1, job.wait(30), job.stdout.read())
        self.assertEqual(EDITED, self.claude.read_text())
        self.assert_tells_of_a_change(2)

    def assert_tells_of_a_change(self, job):
        """The job's log names the file that is not as it was, and the version from before."""
        log = self.mcpctl("logs", str(job))
        self.assertRegex(log, r"WARNING\] ~/.claude.json .*was changed while the job ran")
        for line in log.splitlines():
            if "everything is as it was" in line:
                self.assertIn(", but for configuration files that were changed", line)
        self.assertIn(str(self.snapshot(job)), log)
        self.assertEqual({OLD}, self.saved(job))

    def test_what_a_release_reached_from_its_scratch_home_is_told_when_it_is_undone(self):
        self.repository.release("1.1", behaviour("1.1", f'echo "{{}}" > "{self.claude}"; exit 1'))
        self.mcpctl("upgrade", status=1)
        self.assert_tells_of_a_change(2)

    def test_so_it_is_when_the_daemon_was_killed_before_the_switch(self):
        waits = self.sandbox.root / "waits"
        self.repository.release("1.1", behaviour(
            "1.1", f'echo "{{}}" > "{self.claude}"; : > "{waits}"; sleep 30'))
        self.mcpctl("upgrade", "--detach")
        self.wait_for_file(waits)
        self.daemon.kill()
        self.daemon.start()
        self.wait_idle()
        self.assert_tells_of_a_change(2)

    def test_a_daemon_killed_while_the_release_ran_puts_back_what_it_changed(self):
        waits = self.sandbox.root / "waits"
        # The first time in the real home it is killed; the old release is not disturbed.
        self.repository.release("1.1", behaviour("1.1", self.in_home(
            f'echo "{{}}" > "$HOME/.claude.json"; : > "{waits}"; sleep 30')))
        home = listing(self.home)
        self.mcpctl("upgrade", "--detach")
        self.wait_for_file(waits)
        self.daemon.kill()
        self.daemon.start()
        self.wait_idle()
        self.assert_same(home, listing(self.home))
        self.assert_runs("1.0")
        found = [path.read_text() for path in self.snapshot(2).glob("**/found/*") if path.is_file()]
        self.assertEqual(["{}\n"], found)
        self.assertIn("WARNING", self.mcpctl("logs", "2"))


class RolledBack(ConfigurationTestCase):
    NEW = '{"servers": {"two": {}}}'

    def setUp(self):
        super().setUp()
        self.upgrade_that_writes("1.1", self.NEW)

    def test_a_file_that_nobody_touched_since_goes_back_with_the_release(self):
        self.mcpctl("rollback")
        self.assertEqual(OLD, self.claude.read_text())

    def test_an_edit_made_after_the_upgrade_stays_and_is_told(self):
        self.claude.write_text(EDITED)
        printed = self.mcpctl("rollback", "--configs=auto")
        self.assertEqual(EDITED, self.claude.read_text())
        self.assert_runs("1.0")
        self.assertRegex(printed, r"\[WARNING\] left ~/.claude.json .*edited after the upgrade")
        self.assertIn(str(self.snapshot(2)), printed)
        self.mcpctl("rollback")
        self.assertEqual(EDITED, self.claude.read_text())

    def test_always_replaces_even_an_edit_which_is_saved_first(self):
        self.claude.write_text(EDITED)
        self.mcpctl("rollback", "--configs=always")
        self.assertEqual(OLD, self.claude.read_text())
        self.assertIn(EDITED, self.saved(3))

    def test_never_leaves_every_file_alone(self):
        home = listing(self.home, [".local"])
        self.mcpctl("rollback", "--configs=never")
        self.assert_same(home, listing(self.home, [".local"]))
        self.assert_runs("1.0")

    def test_a_rollback_rolled_back_brings_the_newer_files_again(self):
        self.mcpctl("rollback")
        self.assertEqual(OLD, self.claude.read_text())
        self.mcpctl("rollback")
        self.assert_runs("1.1")
        self.assertEqual(self.NEW + "\n", self.claude.read_text())

    def test_it_walks_back_over_several_jobs(self):
        for number in range(2, 5):
            self.upgrade_that_writes(f"1.{number}", f'{{"servers": {{"{number}": {{}}}}}}')
        self.mcpctl("rollback", "--to", "1.0")
        self.assertEqual(OLD, self.claude.read_text())
        self.assert_runs("1.0")

    def test_over_several_jobs_an_edit_between_two_of_them_is_not_lost(self):
        self.claude.write_text(EDITED)
        self.repository.release("1.2")
        self.mcpctl("upgrade")
        printed = self.mcpctl("rollback", "--to", "1.0")
        self.assertEqual(EDITED, self.claude.read_text())
        self.assertRegex(printed, r"WARNING\] left ~/.claude.json .* it was edited after")

    def test_a_mode_that_a_person_set_after_the_upgrade_stays(self):
        self.claude.chmod(0o600)
        self.mcpctl("rollback")
        self.assertEqual("0o600", oct(stat.S_IMODE(self.claude.stat().st_mode)))


class FilesAndLinks(ConfigurationTestCase):
    def test_a_file_that_did_not_exist_is_gone_after_the_rollback(self):
        self.upgrade_that_writes("1.1", "{}", "$HOME/.never.json")
        self.assertTrue(self.never.exists())
        self.mcpctl("rollback")
        self.assertFalse(self.never.exists())

    def test_a_person_who_made_it_keeps_it(self):
        self.repository.release("1.1")
        self.mcpctl("upgrade")
        self.never.write_text(EDITED)
        self.mcpctl("rollback")
        self.assertEqual(EDITED, self.never.read_text())

    def make_dotfiles(self, absolute):
        dotfiles = self.home / "dotfiles" / "claude.json"
        dotfiles.parent.mkdir()
        self.claude.rename(dotfiles)
        self.claude.symlink_to(dotfiles if absolute else pathlib.Path("dotfiles/claude.json"))
        return dotfiles

    def test_links_to_dotfiles_are_followed_and_stay_links(self):
        for number, absolute in enumerate((True, False), 1):
            with self.subTest(absolute=absolute):
                if number > 1:
                    self.claude.unlink()
                    (self.home / "dotfiles" / "claude.json").rename(self.claude)
                    (self.home / "dotfiles").rmdir()
                dotfiles = self.make_dotfiles(absolute)
                home = listing(self.home)
                self.upgrade_that_writes(f"1.{number}", EDITED.strip())
                self.assertEqual(EDITED, dotfiles.read_text())
                self.mcpctl("rollback")
                self.assertEqual(OLD, dotfiles.read_text())
                self.assert_same(home, listing(self.home))

    def test_a_failing_release_that_wrote_through_a_link_or_replaced_it_is_undone(self):
        self.make_dotfiles(absolute=True)
        home = listing(self.home)
        for number, code in enumerate(['echo "{}" > "$HOME/.claude.json"',
                                       'rm "$HOME/.claude.json"; echo "{}" > "$HOME/.claude.json"'],
                                      1):
            with self.subTest(code=code):
                self.repository.release(f"1.{number}", behaviour(
                    f"1.{number}", self.in_home(f"{code}; exit 1")))
                self.mcpctl("upgrade", status=1)
                self.assert_same(home, listing(self.home))

    def test_a_link_to_a_file_of_somebody_else_is_named_with_the_remedy(self):
        if os.getuid() == 0:
            self.skipTest("the user of this daemon is root, who owns every such file")
        self.claude.unlink()
        self.claude.symlink_to("/etc/passwd")
        self.assert_refused_naming_the_owner()

    def test_a_file_that_belongs_to_somebody_else_is_named_with_the_remedy(self):
        if os.getuid() != 0:
            self.skipTest("giving a file to somebody else takes root")
        os.chown(self.claude, 65534, 65534)
        self.assert_refused_naming_the_owner()

    def assert_refused_naming_the_owner(self):
        self.repository.release("1.1")
        before = listing(self.home)
        printed = self.mcpctl("upgrade", status=1)
        self.assertIn("~/.claude.json", printed)
        self.assertIn(f"put a copy in its place: cp '{self.claude}'", printed)
        self.assertNotIn("chown", printed)
        self.assert_same(before, listing(self.home))
        self.assert_runs("1.0")

    def test_a_file_that_cannot_be_a_configuration_file_is_named(self):
        self.claude.unlink()
        os.mkfifo(self.claude)
        self.repository.release("1.1")
        printed = self.mcpctl("upgrade", status=1)
        self.assertIn("~/.claude.json", printed)
        self.assertTrue(self.claude.is_fifo())
        self.assert_runs("1.0")

    def test_a_file_that_is_no_json_is_saved_and_restored_byte_for_byte(self):
        content = b"\xff\xfe{ not json \x00\r\n"
        self.claude.write_bytes(content)
        self.upgrade_that_writes("1.1", "{}")
        self.mcpctl("rollback")
        self.assertEqual(content, self.claude.read_bytes())

    def test_a_full_upgrade_warns_of_a_file_that_is_no_json(self):
        self.claude.write_text("{ not json")
        self.repository.release("1.1")
        printed = self.mcpctl("upgrade", "--full")
        self.assertRegex(printed, r"\[WARNING\].*\.claude\.json")


if __name__ == "__main__":
    unittest.main()
