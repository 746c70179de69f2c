#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""httpd and fetch, built over the kernel's sockets, tried on loopback: with curl, with each other, and with bytes
that no client should send. Usage: apps_test.py HTTPD FETCH"""

import hashlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

HTTPD, FETCH = (os.path.abspath(path) for path in sys.argv[1:3])
BIG_LEN = 20_000_003


def free_port():
    with socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::", 0))
        return probe.getsockname()[1]


def run(*command, timeout=60):
    return subprocess.run(command, capture_output=True, timeout=timeout, check=False)


class Server:
    """An httpd on a free port with a directory of its own."""

    def __init__(self, *options):
        self.dir = tempfile.TemporaryDirectory(prefix="pel-apps-")
        base = self.dir.name
        self.root, self.uploads = base + "/root", base + "/uploads"
        os.makedirs(self.root + "/dir/sub")
        os.makedirs(self.root + "/index")
        os.makedirs(self.uploads)
        self.config = base + "/config.yaml"
        self.write("../config.yaml", b"")
        self.write("small.txt", b"0123456789")
        self.write("empty", b"")
        self.write("a b<&>.html", b"<p>")
        self.write("index/index.html", b"<h1>index</h1>")
        self.write("../secret", b"secret")
        self.write("big", os.urandom(BIG_LEN))
        os.symlink("../secret", self.root + "/link-out")
        os.symlink("small.txt", self.root + "/link-in")
        os.mkfifo(self.root + "/fifo")
        self.port = free_port()
        self.process = subprocess.Popen(
            [HTTPD, "--config", self.config, "--root", self.root, "--upload-dir", self.uploads,
             "--listen", f":{self.port}", *options], stdout=subprocess.PIPE, text=True)
        self.ready_line = self.process.stdout.readline()
        self.url = f"http://127.0.0.1:{self.port}"

    def write(self, name, content):
        with open(os.path.join(self.root, name), "wb") as file:
            file.write(content)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def exchange(self, request):
        """Sends bytes, returns all that comes until the server ends the connection."""
        with self.connect() as client:
            client.sendall(request)
            return receive_all(client)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(10)
        self.process.stdout.close()
        self.dir.cleanup()
        return status


def receive_all(client):
    received = b""
    while True:
        try:
            piece = client.recv(65536)
        except ConnectionResetError:
            return received + b"<reset>"
        if not piece:
            return received
        received += piece


def status_of(reply):
    return int(reply.split(b" ", 2)[1]) if reply.startswith(b"HTTP/1.1 ") else reply[:80]


class HttpdTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--idle-timeout", "2", "--workers", "2", "--max-upload", "50000000")

    @classmethod
    def tearDownClass(cls):
        status = cls.server.stop()
        assert status == 0, f"httpd ended with {status}"

    def get(self, path, method="GET", headers=None, body=None):
        client = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=10)
        try:
            client.request(method, path, body=body, headers=headers or {})
            reply = client.getresponse()
            return reply.status, dict(reply.getheaders()), reply.read()
        finally:
            client.close()

    def test_ready_line(self):
        self.assertEqual(self.server.ready_line, f"httpd: serving {self.server.root} on :{self.server.port}\n")

    def test_get_and_head(self):
        status, headers, body = self.get("/small.txt")
        self.assertEqual((status, body), (200, b"0123456789"))
        self.assertEqual(headers["Content-Type"], "text/plain; charset=utf-8")
        status, headers, body = self.get("/small.txt", "HEAD")
        self.assertEqual((status, headers["Content-Length"], body), (200, "10", b""))
        self.assertEqual(self.get("/empty")[::2], (200, b""))
        self.assertEqual(self.get("/a%20b%3C&%3E.html")[::2], (200, b"<p>"))
        self.assertEqual(self.get("/link-in")[2], b"0123456789")

    def test_what_is_not_there_or_not_allowed(self):
        self.assertEqual(self.get("/nothing")[0], 404)
        self.assertEqual(self.get("/small.txt/x")[0], 404)
        self.assertEqual(self.get("/link-out")[0], 404)
        self.assertEqual(self.get("/fifo")[0], 403)
        self.assertEqual(self.get("/../secret")[0], 400)
        self.assertEqual(self.get("/%2e%2e/secret")[0], 400)
        status, headers, _ = self.get("/small.txt", "DELETE")
        self.assertEqual((status, headers["Allow"]), (405, "GET, HEAD, PUT, POST"))
        self.assertEqual(self.get("/small.txt", "BREW")[0], 501)

    def test_directories(self):
        status, headers, _ = self.get("/dir")
        self.assertEqual((status, headers["Location"]), (301, "/dir/"))
        self.assertEqual(self.get("/index/")[2], b"<h1>index</h1>")
        status, _, body = self.get("/")
        self.assertEqual(status, 200)
        self.assertIn(b'<a href="./dir/">dir/</a>', body)
        self.assertIn(b'<a href="./a%20b%3C%26%3E.html">a b&lt;&amp;&gt;.html</a>', body)
        self.assertNotIn(b"//evil", self.server.exchange(b"GET //dir HTTP/1.0\r\n\r\n").split(b"Location: ")[1])
        self.assertIn(b"Location: /dir/\r\n", self.server.exchange(b"GET //dir HTTP/1.0\r\n\r\n"))

    def test_ranges(self):
        def ranged(text):
            status, headers, body = self.get("/small.txt", headers={"Range": text})
            return status, headers.get("Content-Range"), body
        self.assertEqual(ranged("bytes=2-4"), (206, "bytes 2-4/10", b"234"))
        self.assertEqual(ranged("bytes=7-"), (206, "bytes 7-9/10", b"789"))
        self.assertEqual(ranged("bytes=7-100"), (206, "bytes 7-9/10", b"789"))
        self.assertEqual(ranged("bytes=-3"), (206, "bytes 7-9/10", b"789"))
        self.assertEqual(ranged("bytes=-30"), (206, "bytes 0-9/10", b"0123456789"))
        self.assertEqual(ranged("bytes=10-"), (416, "bytes */10", b""))
        self.assertEqual(ranged("bytes=0-1,3-4"), (200, None, b"0123456789"))
        self.assertEqual(ranged("nonsense"), (200, None, b"0123456789"))

    def test_conditions(self):
        date = self.get("/small.txt")[1]["Last-Modified"]
        old = "Sun, 06 Nov 1994 08:49:37 GMT"
        self.assertEqual(self.get("/small.txt", headers={"If-Modified-Since": date})[0], 304)
        self.assertEqual(self.get("/small.txt", headers={"If-Modified-Since": old})[0], 200)
        self.assertEqual(self.get("/small.txt", headers={"Range": "bytes=0-1", "If-Range": date})[0], 206)
        self.assertEqual(self.get("/small.txt", headers={"Range": "bytes=0-1", "If-Range": old})[0], 200)
        self.assertEqual(self.get("/small.txt", headers={"Range": "bytes=0-1", "If-Range": '"x"'})[0], 200)

    def test_pipelining_keeps_order(self):
        one = b"GET /small.txt HTTP/1.1\r\nHost: x\r\n\r\n"
        last = b"GET /empty HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        reply = self.server.exchange(one * 300 + b"\r\n" + last)
        self.assertEqual(reply.count(b"HTTP/1.1 200 OK"), 301)
        self.assertEqual(reply.count(b"0123456789"), 300)
        self.assertTrue(reply.endswith(b"\r\n\r\n"))

    def test_half_closed_client_gets_its_answer(self):
        with self.server.connect() as client:
            client.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
            client.shutdown(socket.SHUT_WR)
            self.assertGreater(len(receive_all(client)), BIG_LEN)

    def test_byte_by_byte(self):
        with self.server.connect() as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in b"GET /small.txt HTTP/1.0\r\nA: b\r\n\r\n":
                client.send(bytes([byte]))
            self.assertTrue(receive_all(client).endswith(b"0123456789"))

    def test_big_file_with_curl(self):
        out = self.server.dir.name + "/out"
        self.assertEqual(run("curl", "-sS", "-o", out, self.server.url + "/big").returncode, 0)
        with open(out, "rb") as got, open(self.server.root + "/big", "rb") as expected:
            self.assertEqual(hashlib.sha256(got.read()).digest(), hashlib.sha256(expected.read()).digest())

    def upload(self, name, *options):
        result = run("curl", "-sS", "-w", "%{http_code}", *options, f"{self.server.url}/{name}")
        return result.stdout.decode()

    def read_upload(self, name):
        with open(f"{self.server.uploads}/{name}", "rb") as file:
            return file.read()

    def test_uploads_with_curl(self):
        big = self.server.root + "/big"
        self.assertEqual(self.upload("up", "-T", big), f"received {BIG_LEN} bytes\n201")
        with open(big, "rb") as file:
            self.assertEqual(self.read_upload("up"), file.read())
        self.assertEqual(self.upload("up", "-T", self.server.root + "/small.txt"), "received 10 bytes\n200")
        self.assertEqual(self.read_upload("up"), b"0123456789")
        self.assertEqual(self.upload("chunked", "-T", big, "-H", "Transfer-Encoding: chunked"),
                         f"received {BIG_LEN} bytes\n201")
        self.assertEqual(self.upload("posted", "--data-binary", "@" + self.server.root + "/small.txt"),
                         "received 10 bytes\n201")
        self.assertEqual(self.upload("empty", "-T", "/dev/null", "-H", "Transfer-Encoding:",
                                     "-H", "Content-Length: 0"), "received 0 bytes\n201")

    def test_uploads_that_are_refused(self):
        def put(path, body=b"x"):
            return self.get(path, "PUT", body=body)[0]
        self.assertEqual(put("/no/such/dir"), 404)
        self.assertEqual(put("/"), 400)
        self.assertEqual(put("/../x"), 400)
        os.makedirs(self.server.uploads + "/directory", exist_ok=True)
        self.assertEqual(put("/directory"), 403)
        head = b"PUT /f HTTP/1.1\r\nHost: x\r\nContent-Length: 50000001\r\n\r\n"
        self.assertEqual(status_of(self.server.exchange(head)), 413)
        chunked = b"PUT /f HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
        self.assertEqual(status_of(self.server.exchange(chunked)), 400)
        self.assertEqual(os.path.exists(self.server.uploads + "/f"), False)

    def test_unfinished_upload_leaves_nothing(self):
        with self.server.connect() as client:
            client.sendall(b"PUT /half HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
            self.assertEqual(status_of(receive_all(client)), 408)
        with self.server.connect() as client:
            client.sendall(b"PUT /half HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        time.sleep(0.5)
        self.assertEqual([n for n in os.listdir(self.server.uploads) if "half" in n or n.startswith(".")], [])

    def test_continue(self):
        with self.server.connect() as client:
            client.sendall(b"PUT /c HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
            self.assertEqual(client.recv(100), b"HTTP/1.1 100 Continue\r\n\r\n")
            client.sendall(b"bodyGET /small.txt HTTP/1.0\r\n\r\n")
            reply = receive_all(client)
        self.assertIn(b"received 4 bytes\n", reply)
        self.assertTrue(reply.endswith(b"0123456789"))

    def test_get_with_a_body_does_not_shift_the_next_request(self):
        request = (b"GET /small.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
                   b"GET /empty HTTP/1.0\r\n\r\n")
        self.assertEqual(self.server.exchange(request).count(b"HTTP/1.1 200"), 2)

    def test_malformed(self):
        long_path = b"GET /" + b"a" * 20000
        many = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 101 + b"\r\n"
        large = b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 20000
        cases = [
            (400, b"GET / HTTP/1.1\r\n\r\n"), (400, b"hello\r\n\r\n"), (400, b"GET /\n\n"), (400, b"\0\0\0\n"),
            (400, b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
            (405, b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
            (413, b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"),
            (414, long_path), (417, b"PUT /x HTTP/1.1\r\nHost: x\r\nExpect: tea\r\n\r\n"), (431, many), (431, large),
            (501, b"PUT /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n"),
            (505, b"GET / HTTP/3.0\r\nHost: x\r\n\r\n"),
        ]
        for status, request in cases:
            self.assertEqual(status_of(self.server.exchange(request)), status, request[:60])

    def test_slow_clients(self):
        with self.server.connect() as silent, self.server.connect() as slow:
            slow.sendall(b"GET / HTTP/1.1\r\n")
            self.assertEqual(receive_all(silent), b"")
            self.assertEqual(status_of(receive_all(slow)), 408)

    def test_many_at_once(self):
        clients = [self.server.connect() for _ in range(200)]
        for client in clients:
            client.sendall(b"GET /small.txt HTTP/1.0\r\n\r\n")
        for client in clients:
            self.assertTrue(receive_all(client).endswith(b"0123456789"))
            client.close()

    def fetch(self, path, *options):
        return run(FETCH, "--config", self.server.config, *options, self.server.url + path)

    def test_fetch(self):
        self.assertEqual(self.fetch("/small.txt").stdout, b"0123456789")
        self.assertEqual(self.fetch("/small.txt", "--repeat", "3").stdout, b"0123456789" * 3)
        self.assertEqual(self.fetch("/small.txt", "--repeat", "3", "--close").stdout, b"0123456789" * 3)
        self.assertEqual(self.fetch("/small.txt", "--head").stdout, b"200 OK\n")
        out = self.server.dir.name + "/fetched"
        self.assertEqual(self.fetch("/big", "-o", out).returncode, 0)
        with open(out, "rb") as got, open(self.server.root + "/big", "rb") as expected:
            self.assertEqual(got.read(), expected.read())
        named = run(FETCH, "--config", self.server.config, "--resolve", f"some.host:{self.server.port}:127.0.0.1",
                    f"http://some.host:{self.server.port}/small.txt")
        self.assertEqual((named.returncode, named.stdout), (0, b"0123456789"))

    def test_fetch_failures(self):
        missing = self.fetch("/nothing")
        self.assertEqual((missing.returncode, missing.stdout), (1, b""))
        self.assertIn(b"the server answered: 404 Not Found", missing.stderr)
        refused = run(FETCH, "--config", self.server.config, f"http://[::1]:{free_port()}/")
        self.assertEqual(refused.returncode, 1)
        self.assertIn(b"cannot connect: Connection refused", refused.stderr)
        self.assertEqual(run(FETCH, "--config", "/nowhere", self.server.url).returncode, 1)
        self.assertEqual(run(FETCH, self.server.url).returncode, 2)
        self.assertEqual(run(FETCH, "--config", self.server.config, "ftp://x/").returncode, 2)

    def test_fetch_sees_a_body_cut_short(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            client = subprocess.Popen([FETCH, "--config", self.server.config, f"http://127.0.0.1:{port}/"],
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            peer = listener.accept()[0]
            peer.recv(1000)
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            peer.close()
            _, errors = client.communicate(timeout=10)
        self.assertEqual(client.returncode, 1)
        self.assertIn(b"within the response's body", errors)


class LifeTest(unittest.TestCase):
    def test_wrong_usage(self):
        for options in ([], ["--config", "x"], ["--config", "x", "--root", "/"],
                        ["--config", "x", "--root", "/", "--listen", "443"], ["--workers", "0"], ["extra"]):
            result = run(HTTPD, *options)
            self.assertEqual(result.returncode, 2, options)
            self.assertIn(b"httpd", result.stderr)

    def test_bad_directories_and_a_taken_port(self):
        server = Server()
        base = [HTTPD, "--config", server.config, "--listen", f":{free_port()}"]
        self.assertEqual(run(*base, "--root", "/nowhere").returncode, 1)
        self.assertEqual(run(*base, "--root", "/", "--upload-dir", "/nowhere").returncode, 1)
        taken = run(HTTPD, "--config", server.config, "--root", "/", "--listen", f":{server.port}")
        self.assertEqual(taken.returncode, 1)
        self.assertRegex(taken.stderr.decode(), re.escape(f":{server.port}") + ": Address already in use")
        self.assertEqual(server.stop(), 0)

    def test_stop_lets_a_response_finish(self):
        server = Server()
        with server.connect() as busy, server.connect() as idle:
            busy.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
            first = busy.recv(1000)
            server.process.send_signal(signal.SIGHUP)
            self.assertEqual(server.process.stdout.readline(), "kernel_sockets: reload\n")
            server.process.send_signal(signal.SIGINT)
            self.assertEqual(receive_all(idle), b"")
            self.assertGreater(len(first + receive_all(busy)), BIG_LEN)
        self.assertEqual(server.process.wait(10), 0)
        server.process.stdout.close()
        server.dir.cleanup()


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
