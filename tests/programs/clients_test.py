#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Clients that know no TLS, under the stack, reach kernel servers that speak nothing else: curl, wget, lftp, Python's urllib,
asyncio and threads, node, Java, netcat and socat. The stack sends and checks the name that the program resolved."""
import hashlib
import os

from programs_lab import (GROUP, HANDSHAKE_RECORD, KERNEL, KERNEL_NAME, ON_KERNEL, Skip, WRONG_NAME, expect, main, need,
                          outbound, receive, receive_all)

PORTS = {"origin": 8443, "echo": 8500, "digest": 8501, "clear": 8600, "deaf": 8601, "nobody": 8602, "plain": 8700}
POLICY = GROUP + "".join((
    outbound("TO_ORIGIN", PORTS["origin"], "root/trusting"),
    outbound("TO_ECHO", "8500-8501", "root/trusting"),
    outbound("TO_CLEAR", "8600-8602", "root/trusting"),
))
SECRET = b"a word that must never leave in clear"

URLLIB = """
import sys, urllib.request
for name in sys.argv[2:]:
    sys.stdout.buffer.write(urllib.request.urlopen(sys.argv[1] + name, timeout=30).read())
"""

# Eight streams at once, each way at once, larger than any buffer on the way.
ASYNCIO = """
import asyncio, os, sys
async def one():
    reader, writer = await asyncio.open_connection(sys.argv[1], int(sys.argv[2]))
    data = os.urandom(1 << 20)
    writer.write(len(data).to_bytes(8, 'big'))
    async def send():
        for i in range(0, len(data), 50000):
            writer.write(data[i:i + 50000])
            await writer.drain()
    sending = asyncio.create_task(send())
    assert await reader.readexactly(len(data)) == data
    await sending
    writer.close()
    await writer.wait_closed()
async def all_of_them():
    await asyncio.gather(*(one() for _ in range(8)))
asyncio.run(asyncio.wait_for(all_of_them(), 40))
print('equal')
"""

THREADS = """
import os, socket, sys, threading
failed = []
def one():
    try:
        for _ in range(5):
            with socket.create_connection((sys.argv[1], int(sys.argv[2])), 30) as sock:
                data = os.urandom(100000)
                sender = threading.Thread(target=sock.sendall, args=(len(data).to_bytes(8, 'big') + data,))
                sender.start()
                got = b''
                while len(got) < len(data):
                    piece = sock.recv(65536)
                    assert piece
                    got += piece
                sender.join()
                assert got == data
    except Exception as error:
        failed.append(repr(error))
threads = [threading.Thread(target=one) for _ in range(12)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(failed or 'equal')
"""

# A process for each connection, as servers and shells of old do, with the socket inherited from the parent.
FORKS = """
import os, socket, sys
children = []
for i in range(6):
    sock = socket.create_connection((sys.argv[1], int(sys.argv[2])), 30)
    pid = os.fork()
    if pid == 0:
        data = os.urandom(50000)
        sock.sendall(len(data).to_bytes(8, 'big') + data)
        got = b''
        while len(got) < len(data):
            piece = sock.recv(65536)
            if not piece:
                os._exit(2)
            got += piece
        os._exit(0 if got == data else 3)
    sock.close()
    children.append(pid)
print([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children])
"""

# Connections that change hands: by SCM_RIGHTS, as a program's standard input and output, and as an inherited number.
HANDED = """
import os, socket, subprocess, sys
def connect():
    return socket.create_connection((sys.argv[1], int(sys.argv[2])))
def exchange(sock, words):
    sock.sendall(len(words).to_bytes(8, 'big') + words)
    got = b''
    while len(got) < len(words):
        piece = sock.recv(65536)
        assert piece
        got += piece
    assert got == words
near, far = socket.socketpair()
pid = os.fork()
if pid == 0:
    _, fds, _, _ = socket.recv_fds(far, 1, 1)
    with socket.socket(fileno=fds[0]) as sock:
        exchange(sock, os.urandom(60000))
    os._exit(0)
sock = connect()
socket.send_fds(near, [b'x'], [sock.fileno()])
sock.close()
print('by SCM_RIGHTS', os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
with connect() as sock:
    sock.sendall((12).to_bytes(8, 'big'))
    subprocess.run(['printf', 'eleven and a'], stdout=sock, check=True)
    print('as stdout', sock.recv(12, socket.MSG_WAITALL))
with connect() as sock:
    sock.sendall((6).to_bytes(8, 'big') + b'heard\\n')
    print('as stdin', subprocess.run(['head', '-n', '1'], stdin=sock, capture_output=True, check=True).stdout)
with connect() as sock:
    program = 'import socket, sys; sock = socket.socket(fileno=int(sys.argv[1])); sock.sendall((3).to_bytes(8, "big") + b"abc")'
    subprocess.run([sys.executable, '-c', program, str(sock.fileno())], pass_fds=[sock.fileno()], check=True)
    print('inherited', sock.recv(3, socket.MSG_WAITALL))
"""

NODE = """
const http = require('http'), crypto = require('crypto');
const agent = new http.Agent({keepAlive: true, maxSockets: 4});
let left = 20;
for (let i = 0; i < left; i++)
  http.get(process.argv[2] + 'mega', {agent}, response => {
    const hash = crypto.createHash('sha256');
    response.on('data', piece => hash.update(piece));
    response.on('end', () => { console.log(hash.digest('hex')); if (--left === 0) agent.destroy(); });
  }).on('error', error => { console.log(error.message); process.exit(1); });
"""

JAVA = """
import java.net.*;
import java.security.MessageDigest;
import java.util.*;
import java.util.concurrent.*;

public class Client {
    static String get(String url) throws Exception {
        try (var in = new URL(url).openStream()) {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(in.readAllBytes()));
        }
    }
    public static void main(String[] args) throws Exception {
        var pool = Executors.newFixedThreadPool(4);
        var done = new ArrayList<Future<String>>();
        for (int i = 0; i < 12; i++)
            done.add(pool.submit(() -> get(args[0] + "mega")));
        for (var one : done)
            System.out.println(one.get());
        pool.shutdown();
        // The newer client, which is all of channels and selectors.
        var client = java.net.http.HttpClient.newBuilder().version(java.net.http.HttpClient.Version.HTTP_1_1).build();
        var answer = client.send(java.net.http.HttpRequest.newBuilder(URI.create(args[0] + "mega")).build(),
                                 java.net.http.HttpResponse.BodyHandlers.ofByteArray());
        System.out.println(HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(answer.body())));
        System.exit(0);
    }
}
"""

URL = f"http://{KERNEL_NAME}:{PORTS['origin']}/"


def echo(sock):
    """The length, then that many bytes, which come back while they are read."""
    left = int.from_bytes(receive(sock, 8), "big")
    while left > 0:
        piece = sock.recv(min(left, 1 << 16))
        if not piece:
            return
        sock.sendall(piece)
        left -= len(piece)


def digest(sock):
    """Everything up to the end of the peer's half, then its SHA-256."""
    sock.sendall(hashlib.sha256(receive_all(sock)).hexdigest().encode() + b"\n")


class Clients:
    def __init__(self, lab, case):
        self.lab = lab
        self.case = case
        with open(lab.path("www/mega"), "rb") as data:
            self.mega_sha = hashlib.sha256(data.read()).hexdigest()
        self.heard = []
        self.errors = lab.serve(PORTS["echo"], echo), lab.serve(PORTS["digest"], digest)
        lab.serve(PORTS["clear"], self.listen_clear, tls=False)

    def listen_clear(self, sock):
        """A server of plain text: what reaches it, and what it answers."""
        data = sock.recv(4096)
        self.heard.append(data)
        sock.sendall(b"HTTP/1.0 200 OK\r\n\r\nclear\n")

    def run(self, *command, **more):
        return self.lab.run_under(*command, **more)

    def python(self, name, program, *arguments):
        return self.run("python3", self.lab.write(f"{name}.py", program), *arguments, timeout=90)


def http_cases(clients):
    lab, case, run = clients.lab, clients.case, clients.run
    port = PORTS["origin"]

    def curl():
        for name in ("hello", "mega", "large"):
            run("curl", "-sSf", "-m", "30", "-o", lab.path("got"), URL + name)
            lab.expect_same(f"www/{name}", "got")
            lab.origin_saw(port, "GET", f"/{name}", 200)
        conn = lab.expect_rule("TO_ORIGIN", direction="outbound", role="client")
        expect(ON_KERNEL or (conn["server_name"] == KERNEL_NAME and conn["name_checked"]), f"the name: {conn}")
    case("curl: equal, over TLS, the name sent and checked", curl)

    def upload():
        run("curl", "-sSf", "-m", "30", "-T", lab.path("www/large"), URL + "put/large")
        lab.expect_same("www/large", "up/put/large")
    case("curl: 16 MB up, equal", upload)

    def parallel():
        run("curl", "-sSfZ", "--parallel-max", "10", "-m", "40", "-o", lab.path("z#1"), URL + "mega?[1-30]")
        for i in range(1, 31):
            lab.expect_same("www/mega", f"z{i}")
    case("curl -Z: 30 downloads, 10 at a time, equal", parallel)

    def ipv6():
        run("curl", "-sSf", "-m", "30", "-o", lab.path("got"), f"http://server6.example:{port}/mega")
        lab.expect_same("www/mega", "got")
        lab.origin_saw(port, "GET", "/mega", 200, name="server6.example")
    case("curl over IPv6", ipv6)

    def wget():
        run("wget", "-q", "-T", "30", "-t", "1", "-O", lab.path("got"), URL + "large")
        lab.expect_same("www/large", "got")
    case("wget: 16 MB, equal", wget)

    def lftp():
        need("lftp")
        if os.path.exists(lab.path("got-lftp")):
            os.unlink(lab.path("got-lftp"))
        run("lftp", "-c", f"set net:max-retries 1; set net:timeout 20; open {URL}; get mega -o {lab.path('got-lftp')}")
        lab.expect_same("www/mega", "got-lftp")
        run("lftp", "-c", f"set net:max-retries 1; set net:timeout 20; pget -n 4 {URL}large -o {lab.path('got-pget')}")
        lab.expect_same("www/large", "got-pget")
    case("lftp: get, and pget in four parts, equal", lftp)


def name_cases(clients):
    lab, case, run = clients.lab, clients.case, clients.run
    if ON_KERNEL:
        return

    def wrong_name():
        before = lab.stat("TLS_CERT_NAME", "stack")
        result = run("curl", "-sS", "-m", "15", f"http://{WRONG_NAME}:{PORTS['origin']}/hello", check=False)
        expect(result.returncode != 0 and "hello from" not in result.text, f"it was served:\n{result.text}")
        expect(lab.stat("TLS_CERT_NAME", "stack") == before + 1, "TLS_CERT_NAME was not counted")
    case("a name that the certificate has not is refused", wrong_name)

    def clear():
        for name, command in (("curl", ("curl", "-sS", "-m", "15", "-H", f"X: {SECRET.decode()}")),
                              ("wget", ("wget", "-q", "-T", "15", "-t", "1", "-O", "-", f"--header=X: {SECRET.decode()}"))):
            clients.heard.clear()
            result = run(*command, f"http://{KERNEL_NAME}:{PORTS['clear']}/", check=False)
            expect(result.returncode != 0 and "200 OK" not in result.text, f"{name} was served in clear:\n{result.text}")
            expect(clients.heard and clients.heard[0][0] == HANDSHAKE_RECORD, f"{name}: the server heard {clients.heard}")
            expect(all(SECRET not in heard for heard in clients.heard), f"{name}'s request left in clear")
    case("a server of plain text is not spoken to, and hears no request", clear)

    def nobody():
        result = run("curl", "-sS", "-m", "15", f"http://{KERNEL_NAME}:{PORTS['nobody']}/", check=False)
        expect(result.returncode == 7, f"curl: status {result.returncode}: {result.text}")
        result = run("bash", "-c", f"exec 3<>/dev/tcp/{KERNEL_NAME}/{PORTS['nobody']}", check=False)
        expect(result.returncode == 1 and "Connection refused" in result.text, result.text)
    case("a port where nobody listens: connection refused", nobody)


def runtime_cases(clients):
    lab, case, run = clients.lab, clients.case, clients.run

    def urllib():
        result = run("python3", lab.write("urllib_get.py", URLLIB), URL, "hello", "mega")
        with open(lab.path("www/hello"), "rb") as one, open(lab.path("www/mega"), "rb") as two:
            expect(result.stdout == one.read() + two.read(), "what urllib got differs")
    case("python3 urllib, equal", urllib)
    for name, what, program in (("aio", "asyncio streams, 8 at once, both ways at once", ASYNCIO),
                                ("threads", "12 threads, 5 connections each, a sender beside each", THREADS)):
        def both_ways(name=name, program=program):
            result = clients.python(name, program, KERNEL_NAME, str(PORTS["echo"]))
            expect(result.text.strip() == "equal", result.text[-1500:])
            lab.expect_rule("TO_ECHO")
        case(f"python3 {what}: equal", both_ways)

    def forks():
        result = clients.python("forks", FORKS, KERNEL_NAME, str(PORTS["echo"]))
        expect(result.text.strip() == str([0] * 6), result.text[-1500:])
    case("python3: a child for each connection, which the parent closes", forks)

    def handed():
        result = clients.python("handed", HANDED, KERNEL_NAME, str(PORTS["echo"]))
        expect(result.text.splitlines() == ["by SCM_RIGHTS 0", "as stdout b'eleven and a'", "as stdin b'heard\\n'",
                                            "inherited b'abc'"], result.text[-1500:])
    case("python3: connections that change hands, by SCM_RIGHTS, fork and exec", handed)

    def node():
        need("node")
        result = run("node", lab.write("client.js", NODE), URL, timeout=60)
        expect(result.text.split() == [clients.mega_sha] * 20, result.text[-1500:])
    case("node: 20 requests on kept connections, equal", node)

    def java():
        need("java")
        result = run("java", "-Xmx256m", lab.write("Client.java", JAVA), URL, timeout=90)
        expect(result.text.split() == [clients.mega_sha] * 13, result.text[-1500:])
    case("Java: URLConnection in 4 threads, HttpClient: equal", java)


def pipe_cases(clients):
    lab, case, run = clients.lab, clients.case, clients.run

    def netcat():
        need("nc.openbsd")
        with open(lab.path("www/large"), "rb") as data:
            large = data.read()
        result = run("nc.openbsd", "-N", KERNEL_NAME, str(PORTS["digest"]), input=large)
        expect(result.text.strip() == hashlib.sha256(large).hexdigest(), f"the digest differs: {result.text[-300:]}")
    case("nc -N: 16 MB, its half closed, the answer comes after", netcat)

    def socat():
        need("socat")
        with open(lab.path("www/large"), "rb") as data:
            large = data.read()
        result = run("socat", "-t", "20", "-", f"TCP:{KERNEL_NAME}:{PORTS['digest']}", input=large)
        expect(result.text.strip() == hashlib.sha256(large).hexdigest(), f"the digest differs: {result.text[-300:]}")
    case("socat: 16 MB, its half closed, the answer comes after", socat)

    def shell():
        """An interactive shell's own sockets, and a child that gets one as its standard input and output."""
        script = lab.write("shell.sh", f"exec 5<>/dev/tcp/{KERNEL_NAME}/{PORTS['origin']}\n"
                                       "printf 'GET /hello HTTP/1.0\\r\\n\\r\\n' >&5\ncat <&5\n")
        result = run("bash", script)
        expect("hello from" in result.text, result.text[-500:])
    case("bash's /dev/tcp, read by a cat that inherits it", shell)


def mixed_cases(clients):
    lab, case, run = clients.lab, clients.case, clients.run

    def loopback():
        """What is on the loopback interface stays the kernel's, in the same program."""
        local = lab.start("python3", "-u", "-m", "http.server", str(PORTS["plain"]), "--bind", "127.0.0.1", "--directory",
                          lab.path("www"), log="plain.log")
        lab.wait_for("it", lambda: f":{PORTS['plain']} " in lab.run("ss", "-Hltn").text)
        run("curl", "-sSf", "-m", "30", "-o", lab.path("got"), f"http://127.0.0.1:{PORTS['plain']}/mega",
            "-o", lab.path("got2"), URL + "mega")
        lab.expect_same("www/mega", "got")
        lab.expect_same("www/mega", "got2")
        lab.stop(local)
    case("curl: the loopback by the kernel and the origin by the stack, in one process", loopback)

    def servers_fine():
        expect(not any(clients.errors), f"the servers saw: {clients.errors}")
    case("no server saw a broken connection", servers_fine)

    def all_back():
        if ON_KERNEL:
            raise Skip("there is no daemon")
        lab.wait_for("connections and packets to be gone", lambda: lab.figures()["connections"] == 0 and
                     lab.figures()["packets"] == 0, 20)
    case("at the end the daemon holds no connection and no packet", all_back)


def cases(lab, case):
    lab.start_stack(POLICY)
    lab.start_origin(PORTS["origin"])
    clients = Clients(lab, case)
    for part in (http_cases, name_cases, runtime_cases, pipe_cases, mixed_cases):
        part(clients)


if __name__ == "__main__":
    raise SystemExit(main("clients", cases))
