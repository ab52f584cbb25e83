"""What the socket gets that no client of ours would send: a typed error that names the parameter or
the reason, nothing changed, and a daemon that goes on serving everybody else."""

import json
import socket
import unittest

from daemon_fixture import SANITIZED
from unchanged_case import UnchangedCase

OURS = "dev.mcplocal.Upgrade."
KIBIBYTE = 1024


def encode(method, parameters=None, **more):
    call = {"method": method, **more}
    if parameters is not None:
        call["parameters"] = parameters
    return json.dumps(call).encode() + b"\0"


class BadRequests(UnchangedCase):
    def exchange(self, message):
        """Sends bytes on a connection of their own; returns the first reply and whether the daemon
        closed the connection after it."""
        connection = self.connect()
        try:
            connection.sendall(message)
        except OSError:
            pass  # refused before it had taken everything
        received = b""
        while b"\0" not in received:
            try:
                piece = connection.recv(65536)
            except ConnectionResetError:
                piece = b""
            if not piece:
                return (json.loads(received) if received else None), True
            received += piece
        connection.setblocking(False)
        self.assertTrue(received.endswith(b"\0"), received)
        return json.loads(received[:-1]), self.closed(connection)

    def closed(self, connection):
        connection.settimeout(5)
        try:
            connection.sendall(encode(OURS + "Jobs"))
            return connection.recv(1) == b""
        except OSError as error:
            return not isinstance(error, TimeoutError)

    def assert_malformed(self, message, words, field="request"):
        """The message is answered with InvalidRequest of the whole request or the member named, and
        its connection is closed."""
        reply, closed = self.exchange(message)
        self.assertIsNotNone(reply, "no reply before the end")
        self.assertEqual(OURS + "InvalidRequest", reply.get("error"), reply)
        self.assertEqual(field, reply["parameters"]["field"])
        self.assertRegex(reply["parameters"]["message"], words)
        self.assertTrue(closed)

    def assert_refused(self, method, parameters, field, words=".", error="InvalidRequest"):
        """A well-formed call is answered with this error, and its connection stays."""
        reply, closed = self.exchange(encode(OURS + method, parameters, more=True))
        self.assertEqual(OURS + error, reply.get("error"), reply)
        self.assertEqual(field, reply["parameters"]["field"])
        self.assertRegex(reply["parameters"]["message"], words)
        self.assertIn(field, reply["parameters"]["message"])
        self.assertFalse(closed)

    def test_a_request_of_100_megabytes_is_refused_while_it_arrives(self):
        with self.nothing_changes():
            message = b'{"method":"' + b"x" * (100 << 20)
            self.assert_refused_early(message)
            if not SANITIZED:
                self.assertLess(self.daemon.memory_kilobytes(), 64 * KIBIBYTE)

    def assert_refused_early(self, message):
        """Most of the message is never taken."""
        connection = self.connect()
        sent = 0
        try:
            while sent < len(message):
                sent += connection.send(message[sent:sent + 65536])
        except OSError:
            pass
        self.assertLess(sent, 8 << 20)
        received = b""
        try:
            while piece := connection.recv(65536):
                received += piece
        except ConnectionResetError:
            pass
        reply = json.loads(received.rstrip(b"\0"))
        self.assertEqual(OURS + "InvalidRequest", reply["error"])
        self.assertEqual("request", reply["parameters"]["field"])
        self.assertRegex(reply["parameters"]["message"], "262.?144|262 kB|256 KiB|bytes|large")

    def test_the_largest_request_that_is_taken_is_answered(self):
        call = encode(OURS + "Status", {"app": "x"})
        filler = b" " * (256 * KIBIBYTE - len(call))
        reply, closed = self.exchange(call[:-1] + filler + b"\0")
        self.assertEqual(OURS + "NotFound", reply["error"])
        self.assertFalse(closed)
        self.assert_malformed(call[:-1] + filler + b"    \0", "larger|large|bytes")

    def test_what_is_not_a_call_is_refused_and_the_connection_closed(self):
        messages = {
            "not JSON": (b"hello\0", "JSON"),
            "HTTP": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n\0", "JSON"),
            "nothing": (b"\0", "JSON|empty|object"),
            "cut off": (b'{"method":"dev.mcplocal.Upgrade.Stat\0', "JSON"),
            "two objects": (b'{"method":"a.b"}{"method":"a.b"}\0', "JSON"),
            "no object": (b'["dev.mcplocal.Upgrade.Status"]\0', "object"),
            "a text": (b'"dev.mcplocal.Upgrade.Status"\0', "object"),
            "no method": (b'{"parameters":{}}\0', "method"),
            "a method that is no text": (b'{"method":7}\0', "method"),
            "parameters that are no object": (encode(OURS + "Status", [1]), "parameters"),
            "a more that is no flag": (encode(OURS + "Status", {}, more="yes"), "more"),
            "invalid UTF-8": (b'{"method":"\xff\xfe"}\0', "UTF-8|JSON"),
            "an overlong NUL": (b'{"method":"a\xc0\x80b"}\0', "UTF-8|JSON"),
            "a lone surrogate": (b'{"method":"\\ud800"}\0', "UTF-8|JSON|surrogate"),
            "a thousand arrays": (b'{"parameters":' + b"[" * 1000 + b"]" * 1000 + b"}\0",
                                  "nest|deep|levels"),
            "a thousand open arrays": (b"[" * 1000 + b"\0", "nest|deep|levels"),
            "a thousand objects": (b'{"a":' * 1000 + b"1" + b"}" * 1000 + b"\0",
                                   "nest|deep|levels"),
            "a member twice": (b'{"method":"a.b","method":"dev.mcplocal.Upgrade.Jobs"}\0',
                               '"method" twice'),
            "a parameter twice": (b'{"method":"dev.mcplocal.Upgrade.Jobs",'
                                  b'"parameters":{"limit":1,"lim\\u0069t":2}}\0', '"limit" twice'),
            "a byte order mark": (b'\xef\xbb\xbf{"method":"dev.mcplocal.Upgrade.Jobs"}\0',
                                  "byte order mark"),
            "a number beyond all numbers": (b'{"method":"a.b","parameters":{"wait":1e999}}\0', "."),
        }
        with self.nothing_changes():
            for name, (message, words) in messages.items():
                with self.subTest(name):
                    member = words if words in ("method", "parameters", "more") else "request"
                    self.assert_malformed(message, words, member)

    def test_a_hundred_thousand_open_arrays_do_not_exhaust_the_stack(self):
        with self.nothing_changes():
            self.assert_malformed(b"[" * 100_000 + b"\0", "nest|deep|levels")

    def test_a_request_that_never_ends_does_not_keep_others_waiting(self):
        slow = self.connect()
        slow.sendall(b'{"method":"dev.mcplocal.Upgrade.Up')
        self.mcpctl("status")
        slow.close()
        self.mcpctl("status")

    def test_methods_and_interfaces_that_do_not_exist_are_named(self):
        cases = {OURS + "Destroy": ("MethodNotFound", "method"),
                 "org.example.Other.Upgrade": ("InterfaceNotFound", "interface"),
                 "Upgrade": ("InvalidParameter", "parameter")}
        with self.nothing_changes():
            for method, (error, key) in cases.items():
                with self.subTest(method):
                    reply, closed = self.exchange(encode(method))
                    self.assertEqual("org.varlink.service." + error, reply["error"])
                    self.assertIn(reply["parameters"][key], (method, method.rpartition(".")[0],
                                                             "method"))
                    self.assertFalse(closed)

    def test_unknown_parameters_are_named(self):
        with self.nothing_changes():
            for method in ("Upgrade", "Rollback", "Check", "Watch", "Cancel", "Status", "Jobs",
                           "Releases", "Hold", "ShowConfiguration"):
                with self.subTest(method):
                    self.assert_refused(method, {"forse": True}, "forse", "unknown|not known")

    def test_parameters_of_wrong_types_are_named_with_what_was_expected(self):
        cases = [("Upgrade", {"force": "yes"}, "force", "true or false"),
                 ("Upgrade", {"force": 1}, "force", "true or false"),
                 ("Upgrade", {"mode": "fast"}, "mode", "quick"),
                 ("Upgrade", {"mode": 1}, "mode", "."),
                 ("Upgrade", {"app": ["demo"]}, "app", "text|name"),
                 ("Upgrade", {"to": {}}, "to", "text"),
                 ("Upgrade", {"wait": "10"}, "wait", "number"),
                 ("Upgrade", {"wait": 1.5}, "wait", "whole number"),
                 ("Rollback", {"configs": "some"}, "configs", "auto"),
                 ("Check", {"deep": 0}, "deep", "true or false"),
                 ("Watch", {"job": "1"}, "job", "number"),
                 ("Watch", {"level": "LOUD"}, "level", "DEBUG"),
                 ("Cancel", {"job": True}, "job", "number"),
                 ("Status", {"verify": "yes"}, "verify", "true or false"),
                 ("Pin", {"release": 100}, "release", "text"),
                 ("Plan", {"kind": "destroy"}, "kind", "upgrade"),
                 ("Plan", {"kind": "check"}, "kind", "rollback"),
                 ("Upgrade", {"from": "tools/x"}, "from", "relative"),
                 ("Plan", {"kind": "upgrade", "from": "tools/x"}, "from", "relative")]
        with self.nothing_changes():
            for method, parameters, field, words in cases:
                with self.subTest(method, **parameters):
                    self.assert_refused(method, parameters, field, words)

    def test_impossible_values_are_named(self):
        cases = [("Upgrade", {"wait": -1}, "wait"),
                 ("Upgrade", {"wait": 1 << 62}, "wait"),
                 ("Upgrade", {"wait": 1 << 80}, "wait"),
                 ("Upgrade", {"to": ""}, "to"),
                 ("Upgrade", {"to": "v1\n"}, "to"),
                 ("Upgrade", {"to": "x" * 100_000}, "to"),
                 ("Upgrade", {"from": "\u0000"}, "from"),
                 ("Upgrade", {"app": "../demo"}, "app"),
                 ("Upgrade", {"request_id": "x" * 10_000}, "request_id"),
                 ("Rollback", {"to": "../../etc"}, None),
                 ("Watch", {"job": -1}, "job"),
                 ("Watch", {"after": 3}, "after"),
                 ("Watch", {"job": 1, "after": -3}, "after"),
                 ("Cancel", {"job": 0}, "job"),
                 ("Jobs", {"limit": 0}, "limit"),
                 ("Jobs", {"limit": 1 << 40}, "limit"),
                 ("Pin", {}, "release"),
                 ("Pin", {"release": "../1"}, None),
                 ("Hold", {"release": "../../apps"}, None),
                 ("Plan", {}, "kind")]
        with self.nothing_changes():
            for method, parameters, field in cases:
                with self.subTest(method, field=field, size=len(str(parameters))):
                    if field:
                        self.assert_refused(method, parameters, field)
                    else:
                        reply, _ = self.exchange(encode(OURS + method, parameters))
                        self.assertIn(reply.get("error", "").removeprefix(OURS),
                                      ("NotFound", "InvalidRequest"), reply)

    def test_parameters_that_exclude_each_other_are_refused(self):
        with self.nothing_changes():
            self.assert_refused("Upgrade", {"wait": 3, "no_wait": True}, "no_wait", "wait")
            self.assert_refused("Upgrade", {"worktree": True, "to": "v1.0.0"}, "worktree", "to")

    def test_null_counts_as_absent(self):
        reply, _ = self.exchange(encode(OURS + "Status", {"app": None, "verify": None}))
        self.assertNotIn("error", reply)
        reply, _ = self.exchange(b'{"method":"dev.mcplocal.Upgrade.Jobs","parameters":null}\0')
        self.assertNotIn("error", reply)

    def test_a_call_behind_a_malformed_one_is_not_run(self):
        with self.nothing_changes():
            self.assert_malformed(b"{\0" + encode(OURS + "Upgrade", {"force": True}), "JSON")

    def test_the_sending_side_may_be_shut_down_before_the_reply(self):
        connection = self.connect()
        connection.sendall(encode(OURS + "Jobs"))
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while piece := connection.recv(65536):
            received += piece
        jobs = json.loads(received[:-1])["parameters"]["jobs"]
        self.assertEqual([1], [job["job"] for job in jobs])


if __name__ == "__main__":
    unittest.main()
