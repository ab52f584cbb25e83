"""The system's journal: a job's entries are its whole log, with priorities and explanations."""

import json
import re
import unittest

from system_fixture import SERVICE, SystemTestCase, must

PRIORITIES = {"ERROR": "3", "WARNING": "4", "SUCCESS": "5", "INFO": "6", "DEBUG": "7"}


def entries(*matches):
    must("journalctl", "--sync")
    text = must("journalctl", "--output=json", "--all", *matches)
    return [json.loads(line) for line in text.splitlines()]


class Journal(SystemTestCase):
    def setUp(self):
        super().setUp()
        # Entries of the tests before carry the same job numbers.
        self.mcpctl("status")
        self.invocation = "_SYSTEMD_INVOCATION_ID=" + must(
            "systemctl", "show", "--value", "--property=InvocationID", SERVICE).strip()

    def of_job(self, job):
        return entries(f"MCP_JOB={job}", self.invocation)

    def test_the_entries_of_a_job_are_its_log(self):
        self.mcpctl("upgrade", "--full")
        events = [line["event"] for line in self.mcpctl_json("logs", "1") if "event" in line]
        found = self.of_job(1)
        self.assertEqual([str(event["number"]) for event in events],
                         [entry["MCP_NUMBER"] for entry in found])
        for event, entry in zip(events, found):
            self.assertEqual(event["tier"], entry["MCP_TIER"])
            self.assertEqual(event["phase"], entry["MCP_PHASE"])
            self.assertEqual(event["id"], entry["MCP_EVENT"])
            self.assertEqual(PRIORITIES[event["tier"]], entry["PRIORITY"])
            self.assertEqual("demo", entry["MCP_APP"])
        self.assertRegex(found[-1]["MCP_RELEASE"], r"^1\.0\.0-[0-9a-f]+$")

    def test_what_matters_is_explained(self):
        self.mcpctl("upgrade")
        self.repository.release("1.1.0", {"bin/demo": "#!/bin/sh\nexit 3\n"})
        self.mcpctl("upgrade", status=1)
        must("journalctl", "--sync")
        for job, subject in ((1, "Job 1 of mcp-upgraded started"),
                             (1, "Job 1 of mcp-upgraded is done"),
                             (2, "Job 2 of mcp-upgraded was undone"),
                             (2, "is marked as broken")):
            said = must("journalctl", "--catalog", f"MCP_JOB={job}", self.invocation)
            self.assertRegex(said, re.escape(subject))

    def test_a_priority_filters_what_went_wrong(self):
        self.mcpctl("upgrade")
        self.assertEqual([], entries("MCP_JOB=1", self.invocation, "--priority=warning"))
        self.repository.release("1.1.0", {"bin/demo": "#!/bin/sh\nexit 3\n"})
        self.mcpctl("upgrade", status=1)
        said = [entry["MCP_EVENT"] for entry in entries("MCP_JOB=2", self.invocation,
                                                        "--priority=err")]
        self.assertIn("job.failed", said)

    def test_the_output_of_a_users_check_stays_out_of_it(self):
        self.mcpctl("upgrade")
        self.repository.release("1.1.0", {"bin/demo": "#!/bin/sh\necho my-secret\nexit 3\n"})
        self.mcpctl("upgrade", status=1)
        self.assertIn("my-secret", self.mcpctl("logs", "2", "-v"))
        said = must("journalctl", "--all", "MCP_JOB=2", self.invocation)
        self.assertNotIn("my-secret", said)
        self.assertIn("details are shown to the user concerned and to root with 'mcpctl logs 2'",
                      said)


if __name__ == "__main__":
    unittest.main()
