"""git's own server program behind HTTP on loopback, for tests and measurements of fetches."""

import http.server
import os
import subprocess
import threading


class GitHandler(http.server.BaseHTTPRequestHandler):
    """One request to `git http-backend` for the repositories below its server's `root`."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer(b"")

    def do_POST(self):
        self.answer(self.body())

    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        data = b""
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def answer(self, body):
        path, _, query = self.path.partition("?")
        environment = {
            "PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_SYSTEM": "/dev/null", "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path, "QUERY_STRING": query,
            "REQUEST_METHOD": self.command, "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=environment,
                              capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.send_content(content)

    def send_content(self, content):
        self.wfile.write(content)


class GitServer(http.server.ThreadingHTTPServer):
    """Serves from the end of its construction until close()."""

    daemon_threads = True

    def __init__(self, root, handler=GitHandler, port=0):
        super().__init__(("127.0.0.1", port), handler)
        self.root = root
        self.prepare()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def prepare(self):
        """What a kind of server does before the first request."""

    def url(self, path):
        return f"http://127.0.0.1:{self.server_port}/{path}"

    def close(self):
        self.shutdown()
        self.server_close()

    def __exit__(self, *_):
        self.close()
