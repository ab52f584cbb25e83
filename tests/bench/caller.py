"""Varlink in a few lines: a connection that calls methods, and a crowd of watchers that count."""

import json
import select
import socket
import threading
import time

INTERFACE = "dev.mcplocal.Upgrade."


class Connection:
    """One connection, one call at a time."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(str(path))
        self.buffer = b""

    def close(self):
        self.socket.close()

    def send(self, method, more=False, **parameters):
        call = {"method": INTERFACE + method, "parameters": parameters}
        if more:
            call["more"] = True
        self.socket.sendall(json.dumps(call).encode() + b"\0")

    def frame(self):
        while b"\0" not in self.buffer:
            data = self.socket.recv(1 << 18)
            if not data:
                raise AssertionError("the daemon closed the connection")
            self.buffer += data
        frame, self.buffer = self.buffer.split(b"\0", 1)
        reply = json.loads(frame)
        if "error" in reply:
            raise AssertionError(f"{reply['error']}: {reply['parameters']}")
        return reply

    def call(self, method, **parameters):
        self.send(method, **parameters)
        return self.frame()["parameters"]

    def job(self, method, **parameters):
        """Runs a job; returns its events and its result, and the milliseconds until that came."""
        begin = time.perf_counter()
        self.send(method, more=True, **parameters)
        events = []
        while True:
            reply = self.frame()
            found = reply["parameters"]
            if found.get("event"):
                events.append(found["event"])
            if not reply.get("continues"):
                break
        milliseconds = (time.perf_counter() - begin) * 1000
        if found["result"]["outcome"] != "done":
            raise AssertionError(f"{method} {parameters}: {found['result']['message']}")
        return events, found["result"], milliseconds


class Crowd:
    """Many watchers in one thread. It counts frames and looks at no content, so that what it
    measures is the daemon and not itself."""

    def __init__(self, path, count):
        self.sockets = []
        for _ in range(count):
            one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            one.connect(str(path))
            self.sockets.append(one)
        self.counts = [0] * count
        self.bytes = 0
        self.reached = None  # when every watcher had `goal` frames, by time.time()
        self.thread = None

    def call(self, **parameters):
        message = {"method": INTERFACE + "Watch", "parameters": parameters, "more": True}
        data = json.dumps(message).encode() + b"\0"
        for one in self.sockets:
            one.sendall(data)

    def count(self, goal):
        """Returns when every watcher has `goal` frames."""
        poll = select.epoll()
        numbers = {}
        for number, one in enumerate(self.sockets):
            poll.register(one.fileno(), select.EPOLLIN)
            numbers[one.fileno()] = number
        left = len(self.sockets)
        buffer = memoryview(bytearray(1 << 18))
        while left:
            ready = poll.poll(30)
            if not ready:
                raise AssertionError(f"watchers wait for ever at {min(self.counts)} of {goal}")
            for descriptor, _ in ready:
                number = numbers[descriptor]
                size = self.sockets[number].recv_into(buffer)
                if not size:
                    raise AssertionError("a watcher was dropped")
                before = self.counts[number]
                self.bytes += size
                self.counts[number] += bytes(buffer[:size]).count(b"\0")
                if before < goal <= self.counts[number]:
                    left -= 1
        self.reached = time.time()
        poll.close()

    def start_counting(self, goal):
        self.thread = threading.Thread(target=self.count, args=[goal], daemon=True)
        self.thread.start()

    def wait(self):
        self.thread.join(60)
        if self.reached is None:
            raise AssertionError(f"not every watcher got its events: {sorted(self.counts)[:5]}")

    def close(self):
        for one in self.sockets:
            one.close()
