#!/usr/bin/env python3
"""What each kind of peer may do and see with a root daemon: every method of the interface for root, a
member of the group, the owner of the files concerned and somebody else, over the daemon's own socket
and over one that the service manager passed."""

import contextlib
import os
import re
import socket

from daemon_fixture import SOURCE, wait_for
from rights_fixture import (ANN, BOB, CHECK_ACCOUNT, DORA, EVE, GROUP, SOURCE_ACCOUNT,
                            CheckTestCase, SystemTestCase, own, run_tests)

PEERS = ("root", ANN, DORA, EVE)
EVERYBODY, CHANGERS, ROOT = set(PEERS), {"root", ANN}, {"root"}

#: method, parameters, who may. Queueing ones do not wait for their turn.
TABLE = [
    ("Upgrade", {}, CHANGERS),
    ("Upgrade", {"to": "1.0"}, CHANGERS),
    ("Upgrade", {"mode": "full", "unattended": True}, CHANGERS),
    ("Upgrade", {"from": "/nowhere"}, ROOT),
    ("Upgrade", {"worktree": True}, ROOT),
    ("Upgrade", {"force": True}, ROOT),
    ("Upgrade", {"to": "main"}, ROOT),
    ("Upgrade", {"to": "0123abc"}, ROOT),
    ("Rollback", {}, CHANGERS),
    ("Rollback", {"to": "before"}, CHANGERS),
    ("Rollback", {"configs": "always"}, ROOT),
    ("Check", {}, CHANGERS),
    ("Repair", {}, CHANGERS),
    ("Cancel", {"job": 1}, CHANGERS),
    ("Plan", {"kind": "upgrade"}, CHANGERS),
    ("Plan", {"kind": "upgrade", "from": "/nowhere"}, ROOT),
    ("Plan", {"kind": "upgrade", "force": True}, ROOT),
    ("Plan", {"kind": "upgrade", "worktree": True}, ROOT),
    ("Plan", {"kind": "upgrade", "to": "main"}, ROOT),
    ("Pin", {"release": "1.0"}, CHANGERS),
    ("Unpin", {"release": "1.0"}, CHANGERS),
    ("Hold", {}, CHANGERS),
    ("Unhold", {}, CHANGERS),
    ("Watch", {"job": 1}, EVERYBODY),
    ("Status", {}, EVERYBODY),
    ("Status", {"verify": True}, EVERYBODY),
    ("Jobs", {}, EVERYBODY),
    ("Releases", {}, EVERYBODY),
    ("ShowConfiguration", {}, EVERYBODY),
]


class Rights(SystemTestCase):
    def setUp(self):
        super().setUp()
        self.sandbox.release("1.0")
        self.sandbox.adopt()

    def test_the_table_names_every_method(self):
        interface = (SOURCE / "proto" / "dev.mcplocal.Upgrade.varlink").read_text()
        self.assertEqual(set(re.findall(r"^method (\w+)", interface, re.M)),
                         {method for method, _, _ in TABLE})

    def reply(self, peer_name, method, parameters):
        with self.sandbox.peer(peer_name) as peer:
            return peer.stream(method, **parameters)[-1]

    def assert_table(self):
        for method, parameters, allowed in TABLE:
            for who in PEERS:
                with self.subTest(method=method, parameters=parameters, who=who):
                    reply = self.reply(who, method, parameters)
                    refused = reply.get("error", "").endswith(".NotAuthorized")
                    self.assertEqual(who not in allowed, refused, reply)
                    if refused:
                        self.assertIn("root", reply["parameters"]["message"])
                        self.assertTrue(reply["parameters"]["action"])

    def test_every_method_for_every_kind_of_peer(self):
        self.daemon.start()
        self.mcpctl("upgrade")
        self.assert_table()

    def test_a_passed_socket_gives_the_same_rights(self):
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(self.sandbox.socket))
            os.chmod(self.sandbox.socket, 0o666)
            listening.listen()
            self.start_with(listening)
            self.mcpctl("upgrade")
            self.assert_table()

    def start_with(self, listening):
        """Starts the daemon as the service manager does: the socket is its descriptor 3."""
        wrapper = self.sandbox.programs / "passing"
        wrapper.write_text(f"#!/bin/sh\nexec 3<&{listening.fileno()}\n"
                           f'LISTEN_PID=$$ LISTEN_FDS=1 exec "{self.sandbox.programs}/mcp-upgraded"'
                           ' "$@"\n')
        wrapper.chmod(0o755)
        self.daemon.start(program=wrapper, pass_fds=(listening.fileno(),))

    def test_other_users_cannot_take_every_connection(self):
        self.daemon.start()
        with contextlib.ExitStack() as held:
            def hold(count, *peers):
                for who in peers * count:
                    held.enter_context(self.sandbox.peer(who))

            def assert_refused(who, limit):
                with self.sandbox.peer(who) as one_more:
                    refused = one_more.receive()
                self.assertTrue(refused["error"].endswith(".TooManyConnections"), refused)
                self.assertEqual(limit, refused["parameters"]["limit"])

            hold(32, EVE, BOB, DORA, CHECK_ACCOUNT)
            assert_refused(SOURCE_ACCOUNT, 128)
            self.mcpctl("upgrade", user=ANN)  # in the group
            hold(112, ANN)
            assert_refused(ANN, 240)
            self.mcpctl("status")

    def test_details_of_one_user_are_for_that_user_and_root(self):
        self.daemon.start()
        self.mcpctl("upgrade")
        for who in PEERS:
            events = self.events(1, who)
            self.assertEqual(list(range(1, len(events) + 1)), [event["number"] for event in events])
            private = [event for event in events if event["id"] == "event.private"]
            if who in ("root", DORA):
                self.assertEqual([], private)
                self.assertIn(f"configuration files of {DORA}", self.texts(1, who))
            else:
                self.assertTrue(private)
                self.assertEqual([{}] * len(private), [event["fields"] for event in private])
                self.assertNotIn(".demo", self.texts(1, who))

    def test_that_others_see_details_is_said_once(self):
        self.daemon.start()
        self.mcpctl("upgrade")
        printed = self.mcpctl("logs", "1", "--verbose", user=EVE)
        lines = re.findall(r"\[(\w+)\] details are shown to", printed)
        self.assertTrue(lines)
        self.assertEqual(sorted(set(lines)), sorted(lines))

    def test_what_a_plan_would_save_is_for_its_owner_and_root(self):
        self.daemon.start()
        with self.sandbox.peer() as peer:
            saves = peer.call("Plan", kind="upgrade")["parameters"]["saves"]
        self.assertEqual([{"user": DORA, "path": "~/.demo/settings.json"}], saves)
        with self.sandbox.peer(ANN) as peer:
            self.assertEqual([], peer.call("Plan", kind="upgrade")["parameters"]["saves"])

    def test_what_fails_in_a_home_is_told_in_full_to_its_owner_and_root(self):
        settings = self.sandbox.homes[DORA] / ".demo" / "settings.json"
        os.chown(settings, 0, 0)
        self.daemon.start()
        self.mcpctl("upgrade", status=1)
        for who in PEERS:
            with self.sandbox.peer(who) as peer:
                result = peer.stream("Watch", job=1)[-1]["parameters"]["result"]
                job = peer.call("Jobs")["parameters"]["jobs"][0]
            for text in (result["message"], job["message"], self.texts(1, who)):
                self.assertEqual(who in ("root", DORA), "settings.json" in text, (who, text))
                self.assertIn(DORA, text)

    def test_a_branch_that_is_called_like_a_version_is_none(self):
        self.daemon.start()
        self.mcpctl("upgrade")
        own(self.sandbox.repository.path, "root")
        self.sandbox.repository.git("checkout", "--quiet", "-b", "9.9")
        self.sandbox.repository.release("2.0", tag=False)
        self.sandbox.give_checkout()
        for who in (ANN, "root"):
            printed = self.mcpctl("upgrade", "--to", "9.9", user=who, status=1)
            self.assertIn("has no tag, branch or commit 9.9", printed)
        self.assert_runs("1.0")

    def test_the_password_of_a_source_is_nobodys_business(self):
        self.sandbox.write_configuration({"source": "https://joe:s3cret@127.0.0.1:9/x.git"})
        self.daemon.start()
        self.mcpctl("upgrade", status=1)
        for words in (("status",), ("status", "--json"), ("jobs",), ("logs", "1"),
                      ("config", "show")):
            self.assertNotIn("s3cret", self.mcpctl(*words, user=EVE))
        self.assertNotIn("s3cret", self.daemon.printed())

    def test_mcpctl_says_what_is_needed(self):
        self.daemon.start()
        printed = self.mcpctl("upgrade", user=EVE, status=4)
        self.assertIn(f"ask root, or a member of the group {GROUP}", printed)
        printed = self.mcpctl("upgrade", "--force", user=ANN, status=4)
        self.assertIn("only root may upgrade with --force", printed)


class Pending(CheckTestCase):
    """Dora's home went away while an upgrade was under way."""

    def setUp(self):
        super().setUp()
        self.sandbox.release("1.0")
        self.sandbox.adopt()
        self.daemon.start()
        self.mcpctl("upgrade")
        self.gated_release("1.1")
        self.job, _ = self.start_gated()
        self.daemon.kill()
        self.home = self.sandbox.homes[DORA]
        self.home.rename(self.home.with_name("away"))
        self.daemon.start()
        wait_for(lambda: "undo.pending" in {event["id"] for event in self.events(self.job)},
                 "the first attempt")
        self.wait_ended(self.job)

    def told(self, who):
        """Everything that this peer is told about it."""
        with self.sandbox.peer(who) as peer:
            status = wait_for(lambda: peer.call("Status")["parameters"]["problems"], "a problem")
            yield str(status)
            yield peer.call("Jobs")["parameters"]["jobs"][0]["message"]
            yield peer.stream("Watch", job=self.job)[-1]["parameters"]["result"]["message"]
            if who in CHANGERS:
                yield str(peer.call("Cancel", job=self.job))
            for method in ("Upgrade", "Hold") if who in CHANGERS else ():
                reply = peer.call(method)
                self.assertTrue(reply["error"].endswith(".Refused"), reply)
                yield str(reply)

    def test_what_keeps_it_from_being_undone_is_told_in_full_to_its_owner_and_root(self):
        for who in PEERS:
            for text in self.told(who):
                self.assertEqual(who in ("root", DORA), str(self.home) in text, (who, text))
                self.assertIn(f"home of {DORA}", text)
            self.assertEqual(who in ("root", DORA),
                             f"open the home directory {self.home}" in self.texts(self.job, who))


if __name__ == "__main__":
    run_tests()
