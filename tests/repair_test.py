"""`mcpctl repair` does what is safe: it puts back what leads to the current release, and nothing
else; it asks no source and runs no code of the application."""

import json
import shutil
import unittest

from unchanged_case import UnchangedCase


class Repair(UnchangedCase):
    def setUp(self):
        super().setUp()
        self.repository.release("1.1.0")
        self.mcpctl("upgrade")
        # No source: whatever works below works without one.
        self.repository.path.rename(self.sandbox.root / "moved-away")
        self.link = self.sandbox.links / "demo"
        self.launcher = self.sandbox.state / "launch" / "demo" / "demo"
        self.current = self.sandbox.state / "apps" / "demo" / "current"

    def said(self, *arguments, status=0):
        done = self.sandbox.mcpctl(*arguments)
        self.assertEqual(status, done.status, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def assert_well(self):
        self.assertEqual("hello from demo 1.1.0\n", self.sandbox.demo().stdout)
        self.said("status", "--verify")

    def replace(self, path, how):
        path.unlink()
        if how == "a file":
            path.write_text("#!/bin/sh\necho an old backup\n")
            path.chmod(0o755)
        elif how == "a link":
            path.symlink_to("/bin/true")

    def test_a_command_and_a_launcher_come_back_however_they_were_lost(self):
        for path in (self.link, self.launcher):
            for how in ("removed", "a file", "a link"):
                with self.subTest(path=path.name, how=how):
                    self.replace(path, how)
                    self.assertIn("mcpctl repair", self.said("status", status=1))
                    self.said("repair")
                    self.assert_well()

    def test_a_file_in_place_of_the_command_is_saved_and_its_copy_named(self):
        self.replace(self.link, "a file")
        said = self.said("repair")
        copy = said.split("a copy of it is ")[1].split("\n")[0]
        with open(copy, encoding="utf-8") as file:
            self.assertIn("an old backup", file.read())

    def test_what_was_written_through_the_link_into_the_launcher_is_mended(self):
        self.link.write_text("#!/bin/sh\necho through the link\n")  # as cp does
        self.said("repair")
        self.assertTrue(self.link.is_symlink())
        self.assert_well()

    def test_the_link_that_names_the_current_release_is_made_again(self):
        self.current.unlink()
        self.said("repair")
        self.assert_well()

    def test_a_link_that_names_no_release_is_made_again_like_one_that_is_gone(self):
        self.current.unlink()
        self.current.symlink_to("releases/nope")
        told = self.said("status", status=1)
        self.assertEqual(1, told.count("PROBLEM"), told)
        self.assertIn("mcpctl repair", told)
        self.assertIn("leads to releases/nope, which is not there", self.said("repair", "--dry-run"))
        self.said("repair")
        self.assert_well()

    def test_a_release_that_nothing_needs_is_named_before_and_after_it_is_removed(self):
        spare = self.current.parent / "releases" / "0.9.0-0123456789ab"
        shutil.copytree(self.current.resolve(), spare)
        removal = f"release {spare.name} removed, which nothing needs"
        self.assertIn(removal, self.said("repair", "--dry-run"))
        self.assertTrue(spare.exists())
        code, lines = self.sandbox.mcpctl_json("repair")
        self.assertEqual((0, "done", f"mended: {removal}"),
                         (code, lines[-1]["result"]["outcome"], lines[-1]["result"]["message"]))
        self.assertFalse(spare.exists())
        said = self.said("repair", "--dry-run")
        self.assertIn("this is what repair would do", said)
        self.assertIn("nothing is to be mended", said)

    def test_a_dry_run_names_what_would_be_mended_and_changes_nothing(self):
        self.replace(self.link, "removed")
        before = self.listing()
        said = self.said("repair", "--dry-run")
        self.assertIn(f"{self.link} is missing", said)
        self.assertEqual(before, self.listing())
        code, lines = self.sandbox.mcpctl_json("repair", "--dry-run")
        self.assertEqual((0, 1), (code, len(lines[0]["repairs"])))

    def listing(self):
        return sorted(str(path) for path in self.sandbox.root.rglob("*"))

    def test_where_all_is_well_it_says_so_and_history_and_way_back_stay(self):
        history = self.history()
        self.assertIn("nothing is to be mended", self.said("repair"))
        self.replace(self.link, "removed")
        self.said("repair")
        self.assertEqual(history, self.history())
        self.assertIn("rolled back to 1.0.0", self.said("rollback"))

    def history(self):
        state = json.loads((self.sandbox.state / "state.json").read_text())
        return state["applications"]["demo"]["history"]

    def test_a_damaged_index_is_made_again_from_the_jobs_and_what_is_lost_is_told(self):
        file = self.sandbox.state / "state.json"
        history = self.history()
        self.daemon.stop()
        file.write_text("{broken")
        self.daemon.start()
        self.assertIn("mcpctl repair", self.said("status", status=6))
        self.said("upgrade", status=1)
        self.assertIn(f"{file} made again from the jobs' records", self.said("repair", "--dry-run"))
        self.assertFalse(file.exists())
        said = self.said("repair")
        self.assertRegex(said, r"\[WARNING\].*pins, holds and pauses are lost")
        self.assertRegex(said, r"\[SUCCESS\] mended: .*state.json made again")
        switches = [(one["from"], one["to"], one["job"]) for one in history]
        self.assertEqual(switches,
                         [(one["from"], one["to"], one["job"]) for one in self.history()])
        self.assertEqual(1, len(list(self.sandbox.state.glob("state.json.corrupt-*"))))
        self.assertIn("rolled back to 1.0.0", self.said("rollback"))

    def test_a_damaged_release_is_named_with_what_mends_it_and_left_alone(self):
        program = self.current / "tree" / "bin" / "demo"
        program.chmod(0o644)
        program.write_text("damaged")
        said = self.said("repair", status=1)
        self.assertIn("bin/demo", said)
        self.assertIn("mcpctl upgrade --force", said)
        self.assertEqual("damaged", program.read_text())

    def test_a_command_of_another_instance_is_refused_by_name(self):
        other = self.sandbox.root / "other" / "launch" / "demo" / "demo"
        other.parent.mkdir(parents=True)
        shutil.copy(self.launcher, other)
        self.link.unlink()
        self.link.symlink_to(other)
        self.assertIn(str(self.sandbox.root / "other"), self.said("repair", status=1))
        self.assertEqual(str(other), str(self.link.readlink()))


class RepairOfNothing(UnchangedCase):
    install = False

    def test_where_nothing_is_installed_nothing_is_mended(self):
        self.daemon.start()
        self.assertIn("nothing is installed", self.mcpctl("repair"))


if __name__ == "__main__":
    unittest.main()
