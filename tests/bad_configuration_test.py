"""What a configuration file with a mistake gets: FILE:LINE: KEY: reason, from `mcpctl config
validate` and from the daemon's start alike, exit code 2, and nothing is made."""

import json
import re
import subprocess
import unittest

from daemon_fixture import MCPCTL, DaemonTestCase, listing, wait_for
from unchanged_case import UnchangedCase

DEMO = '"demo": {"entry_points": [{"name": "demo", "path": "bin/demo"}]%s}'


class BadConfiguration(DaemonTestCase):
    def assert_mistake(self, text, line, key, words):
        """The file is refused with this line and key, by both programs in the same words."""
        if isinstance(text, str):
            text = text.encode()
        self.sandbox.config_file.write_bytes(text)
        before = listing(self.sandbox.root)
        started = self.daemon.run()
        validated = self.sandbox.mcpctl("config", "validate")
        status, lines = self.sandbox.mcpctl_json("config", "validate")
        self.assertEqual([], [path for path in listing(self.sandbox.root) if path not in before])
        self.assertFalse(self.sandbox.state.exists())
        for code, said in ((started.status, started.stderr),
                           (validated.status, validated.stderr),
                           (status, lines[0]["message"])):
            self.assertEqual(2, code, said)
            place = re.escape(f"{self.sandbox.config_file}:{line}: {key}{': ' if key else ''}")
            self.assertRegex(said, place + f".*(?:{words})")
            self.assertLessEqual(said.strip().count("\n"), 0, said)
        self.assertEqual(1, len(lines))
        self.assertEqual(("ConfigurationInvalid", str(self.sandbox.config_file), line),
                         (lines[0]["error"], lines[0]["file"], lines[0]["line"]))
        self.assertEqual(key, lines[0]["key"].replace("\n", "\\x0a"))
        self.assertTrue(lines[0]["message"].startswith(str(self.sandbox.config_file)), lines)

    def test_unknown_keys_are_named_with_the_nearest_known_one(self):
        self.assert_mistake('{\n\n  "aplications": {}\n}', 3, "/aplications",
                            'not a known key; did you mean "applications"')
        self.assert_mistake('{"applications": {\n"mcp": {\n "sorce": "/x"}}}', 3,
                            "/applications/mcp/sorce", 'did you mean "source"')
        self.assert_mistake('{"retention": {\n  "weekly": 1}}', 2, "/retention/weekly",
                            "not a known key")
        self.assert_mistake('{"a/b~c": 1}', 1, "/a~1b~0c", "not a known key")

    def test_duplicate_keys_are_named_with_both_lines(self):
        self.assert_mistake('{\n "group": "a",\n\n "group": "b"\n}', 4, "/group",
                            "given twice, first in line 2")
        self.assert_mistake('{"applications": {\n "mcp": null,\n "mcp": {}}}', 3,
                            "/applications/mcp", "given twice, first in line 2")

    def test_wrong_types_are_named_with_what_was_expected(self):
        cases = [('{"group": 7}', "/group", "a string"),
                 ('{"idle_exit": "60"}', "/idle_exit", "whole number"),
                 ('{"idle_exit": 1.5}', "/idle_exit", "whole number"),
                 ('{"idle_exit": true}', "/idle_exit", "whole number"),
                 ('{"users": "jo"}', "/users", "a list"),
                 ('{"users": [3]}', "/users/0", "a string"),
                 ('{"wait": 30}', "/wait", "an object"),
                 ('{"applications": []}', "/applications", "an object"),
                 ('{"applications": {"mcp": {"files": {}}}}', "/applications/mcp/files", "a list"),
                 ('{"applications": {"mcp": {"environment": {"A": 1}}}}',
                  "/applications/mcp/environment/A", "a string"),
                 ('[]', "", "an object"), ('7', "", "an object")]
        for text, key, words in cases:
            with self.subTest(text):
                self.assert_mistake(text, 1, key, words)

    def test_impossible_values_are_named(self):
        demo = '{"applications": {"mcp": null,\n' + DEMO + "}}"
        cases = [('{\n"idle_exit": -1}', "/idle_exit", "at least 0"),
                 ('{\n"idle_exit": 1e30}', "/idle_exit", "."),
                 ('{\n"idle_exit": 99999999999999999999}', "/idle_exit", "."),
                 ('{"retention":\n{"quick": 0}}', "/retention/quick", "at least 1"),
                 ('{"limits":\n{"resolve_seconds": 0}}', "/limits/resolve_seconds", "at least 1"),
                 ('{\n"format": 2}', "/format", "newer"),
                 ('{\n"format": 0}', "/format", "at least 1"),
                 ('{\n"users": ["jo", "jo"]}', "/users/1", "twice"),
                 ('{\n"required_users": ["jo"], "users": ["al"]}', "/required_users", "jo"),
                 ('{"applications": {\n"mcp": null}}', "/applications", "at least one"),
                 ('{"applications": {\n"a/b": {}}}', "/applications/a~1b", "name"),
                 ('{"applications": {\n"..": {}}}', "/applications/..", "name"),
                 ('{"applications": {\n"new": {}}}', "/applications/new", "entry_points"),
                 (demo % ', "source": "relative/path"', "/applications/demo/source", "absolute"),
                 (demo % ', "source": "ftp://x/y"', "/applications/demo/source", "scheme"),
                 (demo % ', "files": [{"path": "../x"}]', "/applications/demo/files/0/path",
                  r'"\.\."'),
                 (demo % ', "files": [{"path": "/etc/passwd"}]', "/applications/demo/files/0/path",
                  "relative"),
                 (demo % ', "checks": [{"arguments": [], "entry": "x"}]',
                  "/applications/demo/checks/0/entry", "entry point"),
                 (demo % ', "checks": [{"arguments": [], "accept": [256]}]',
                  "/applications/demo/checks/0/accept/0", "0 to 255"),
                 (demo % ', "environment": {"A=B": "c"}', "/applications/demo/environment/A=B",
                  "."),
                 (demo % ', "services": ["../x"]', "/applications/demo/services/0", ".")]
        for text, key, words in cases:
            with self.subTest(text):
                line = 1 if key == "/applications" else 2
                self.assert_mistake(text, line, key, words)

    def test_two_applications_may_not_share_a_link(self):
        self.assert_mistake('{"applications": {"mcp": null,\n' + DEMO % "" + ',\n"other": ' +
                            (DEMO % "").split(": ", 1)[1] + "}}", 1,
                            "/applications", "demo's demo and of other's demo.*another")

    def test_what_is_no_json_is_named_by_its_line(self):
        for text, line in (("", 1), ("{", 1), ('{\n "group": "a"\n "users": []}', 3),
                           ('{"group": "a",}', 1), ("{\n\n'group': 1}", 3), ("\x00", 1),
                           ('{"group": "a"} {}', 1), ("hello", 1)):
            with self.subTest(text):
                self.assert_mistake(text, line, "", ".")

    def test_bytes_that_are_no_utf_8_are_refused(self):
        self.assert_mistake(b'{\n"group": "\xff\xfe"}', 2, "", ".")

    def test_a_thousand_levels_are_refused(self):
        self.sandbox.config_file.write_text('{"users": ' + "[" * 1000 + "]" * 1000 + "}")
        for done in (self.daemon.run(), self.sandbox.mcpctl("config", "validate")):
            self.assertEqual(2, done.status)
            self.assertIn("nested too deeply", done.stderr)

    def test_a_key_with_line_breaks_stays_on_one_line(self):
        self.assert_mistake('{"a\\nb": 1}', 1, "/a\\x0ab", "not a known key")

    def test_comments_are_taken(self):
        self.sandbox.config_file.write_text('// one\n{ /* two */ "group": "ops" // three\n}')
        self.assertIn("is valid", self.mcpctl("config", "validate"))

    def test_another_file_can_be_validated_and_no_daemon_is_started(self):
        other = self.sandbox.root / "other file.json"
        other.write_text('{"grup": 1}')
        done = self.sandbox.mcpctl("config", "validate", str(other))
        self.assertEqual(2, done.status)
        self.assertIn(f"{other}:1: /grup: ", done.stderr)
        self.assertIn("is valid", self.mcpctl("config", "validate"))
        self.assertFalse(self.sandbox.state.exists())

    def validate_default(self, *arguments):
        """Validates the file where user mode looks without --config."""
        done = subprocess.run([MCPCTL, "config", "validate", "--user", *arguments], text=True,
                              env=self.sandbox.environment(), stdin=subprocess.DEVNULL,
                              capture_output=True, check=False, cwd="/")
        return done.returncode, done.stdout + done.stderr

    def test_a_file_that_is_not_there_is_not_called_valid(self):
        file = self.sandbox.home / ".config" / "mcp-upgraded" / "config.json"
        status, said = self.validate_default()
        self.assertEqual(0, status)
        self.assertIn(f"there is no {file}: the built-in values", said)
        self.assertEqual({"file": str(file), "exists": False, "valid": True},
                         json.loads(self.validate_default("--json")[1]))

    def test_a_link_that_leads_nowhere_is_a_mistake(self):
        file = self.sandbox.home / ".config" / "mcp-upgraded" / "config.json"
        file.parent.mkdir(parents=True)
        file.symlink_to("/no/such/file")
        status, said = self.validate_default()
        self.assertEqual(2, status)
        self.assertIn(f"{file}: is a link to /no/such/file, which does not exist", said)
        self.sandbox.config_file.unlink()
        self.sandbox.config_file.symlink_to("/no/such/file")
        self.assertEqual(2, self.daemon.run().status)
        self.assertFalse(self.sandbox.state.exists())

    def test_a_file_that_cannot_be_read_is_named(self):
        missing = self.sandbox.root / "missing.json"
        done = self.sandbox.mcpctl("config", "validate", str(missing))
        self.assertNotEqual(0, done.status)
        self.assertIn(str(missing), done.stderr)
        done = self.sandbox.mcpctl("config", "validate", str(self.sandbox.home))
        self.assertNotEqual(0, done.status)
        self.assertIn(str(self.sandbox.home), done.stderr)

    def test_a_daemon_started_on_demand_passes_its_complaint_on(self):
        self.sandbox.config_file.write_text('{\n"grup": "ops"}')
        done = self.sandbox.mcpctl("upgrade")
        self.assertEqual(5, done.status, done.stderr)
        self.assertIn(f"{self.sandbox.config_file}:2: /grup: ", done.stderr)
        self.assertFalse(self.sandbox.state.exists())


class BadReload(UnchangedCase):
    def test_a_mistake_at_reload_changes_nothing_and_the_old_values_stay(self):
        good = json.loads(self.mcpctl("config", "show", "--json"))
        self.sandbox.config_file.write_text('{\n"grup": "ops"}')
        with self.nothing_changes():
            self.daemon.signal(1)
            wait_for(lambda: f"{self.sandbox.config_file}:2: /grup: " in self.daemon.printed(),
                     "the complaint")
        self.assertEqual(good, json.loads(self.mcpctl("config", "show", "--json")))
        said = self.mcpctl("status", status=1)
        self.assertRegex(said, f"PROBLEM .*{self.sandbox.config_file}:2: /grup: ")
        self.assertIn("what to do: correct it", said)
        self.sandbox.write_configuration()
        self.daemon.signal(1)
        wait_for(lambda: "PROBLEM" not in self.sandbox.mcpctl("status").stdout, "the new values")


if __name__ == "__main__":
    unittest.main()
