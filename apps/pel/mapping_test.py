#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What programs under pel run see of the mapping: the start gate while there is no policy, and whom it held; and SecondaryMap, with
a file server that forks and has data connections."""
import contextlib
import json
import os
import signal
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tests/interop"))
from lab import GROUP, Skip, advanced, expect, inbound, main  # noqa: E402

BAD_POLICY = "TTLSRule x\n{\n  Colour 1\n}\n"
CONTROL_PORT = 2121


def has(text, *parts):
    for part in parts:
        expect(part in text, f"no {part!r} in: {text}")


def need_library(lab):
    if not os.path.exists(f"{lab.build}/apps/preload/libpellucid-preload.so"):
        raise Skip("the preload library is not in this build")


@contextlib.contextmanager
def stack(lab, policy, more=""):
    attach = f'attach:\n  socket: "{lab.path("stack.attach")}"\n'
    config = lab.config("stack", policy, addresses=("10.77.0.2/24",), more=attach + more)
    process = lab.start(lab.app("pel"), "stack", "--config", config, log="stack.log")
    lab.wait_for("the daemon", lambda: process.poll() is not None or "ready: " in lab.log_of(process), 20)
    expect(process.poll() is None, f"the daemon did not start:\n{lab.log_of(process)}")
    lab.run("ip", "link", "set", "pel0", "up")
    lab.run("ip", "addr", "add", "10.77.0.1/24", "dev", "pel0")
    try:
        yield process
    finally:
        lab.stop(process)


def run_words(lab, *command):
    return [lab.app("pel"), "run", "--attach", lab.path("stack.attach"), "--", *command]


def doctor(lab):
    reply = json.loads(lab.run(lab.app("pel"), "doctor", "--json", "--socket", lab.path("stack.sock")).text)
    (found,) = reply["stacks"]
    return reply, found


# ---- the start gate ----

CONNECT = """
import errno, socket, sys
s = socket.socket()
s.setblocking(sys.argv[1] == "blocking")
print(sys.argv[1], errno.errorcode.get(s.connect_ex(("10.77.0.1", int(sys.argv[2]))), "done"))
"""

SERVER = """
import socket
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("10.77.0.2", 7001))
s.listen(5)
s.setblocking(False)
try:
    s.accept()
except BlockingIOError:
    print("nobody", flush=True)
s.setblocking(True)
print("listening", flush=True)
peer, _ = s.accept()
peer.sendall(peer.recv(100))
print("served", flush=True)
"""


def knock(lab):
    """A connection from outside to the server: what comes back, or how it ended."""
    code = ("import socket\n"
            "try:\n"
            "    s = socket.create_connection(('10.77.0.2', 7001), 10)\n"
            "    s.sendall(b'x')\n"
            "    print('got', s.recv(1))\n"
            "except OSError as error:\n"
            "    print(type(error).__name__)\n")
    return lab.run("python3", "-c", code).text


def gate_case(lab):
    """A wrong policy is no reason not to start: the gate stays closed, everybody who comes is turned away and named, and what listens
    is served once a good policy is there."""
    need_library(lab)
    with stack(lab, BAD_POLICY) as daemon:
        has(lab.log_of(daemon), "stack.policy:3:3: error: ",
            "no policy is in force: the start gate stays closed until one is loaded")
        reply, found = doctor(lab)
        expect(found["start_gate"] == {"closed": True, "held": [], "others": 0}, str(found))
        expect(found["severity"] == "warn" and reply["worst"] == "warn", str(found))
        for how in ("blocking", "nonblocking", "blocking"):
            result = lab.run(*run_words(lab, "python3", "-c", CONNECT, how, "7000"))
            has(result.text, f"{how} EAGAIN")
        server = lab.start(*run_words(lab, "python3", "-c", SERVER), log="server.log")
        lab.wait_for("the server", lambda: "listening" in lab.log_of(server))
        has(lab.log_of(server), "nobody")
        for _ in range(2):
            has(knock(lab), "ConnectionResetError")
        check_held(lab)
        has(lab.run(lab.app("pel"), "policy", "load", "--socket", lab.path("stack.sock"), lab.write("good.policy", GROUP)).text,
            "generation 1")
        has(knock(lab), "got b'x'")
        lab.wait_for("the server's end", lambda: "served" in lab.log_of(server))
        lab.stop(server)
        has(lab.run(*run_words(lab, "python3", "-c", CONNECT, "blocking", "7000")).text, "ECONNREFUSED")
        _, found = doctor(lab)
        expect(found["severity"] == "info" and found["start_gate"]["closed"] is False, str(found))
        expect(len(found["start_gate"]["held"]) == 2, str(found))


def check_held(lab):
    _, found = doctor(lab)
    connects, accepts = found["start_gate"]["held"]
    expect([connects[key] for key in ("user", "what", "endpoint", "count")] == ["root", "connect", "10.77.0.1:7000", 3], str(connects))
    expect([accepts[key] for key in ("user", "what", "endpoint", "count")] == ["root", "accept", "10.77.0.2:7001", 2], str(accepts))
    for row in (connects, accepts):
        expect(row["job"].startswith("python3") and row["pid"] > 0, str(row))
        expect(row["first"] <= row["last"] and row["last"].endswith("Z"), str(row))
    with open(f"/proc/{accepts['pid']}/cmdline") as words:
        has(words.read(), "python3")
    text = lab.run(lab.app("pel"), "doctor", "--socket", lab.path("stack.sock")).text
    has(text, "warn  start-gate     pel (process ", "closed: no policy is loaded", "held: connect to 10.77.0.1:7000 by python3",
        "held: accept at 10.77.0.2:7001 by python3", "3 times", "-> pel policy check FILE")
    text = lab.pel("stats", "--socket", lab.path("stack.sock")).text
    has(text, "start gate: closed", "start gate held: connect to 10.77.0.1:7000", "START_GATE")


def open_gate_case(lab):
    need_library(lab)
    with stack(lab, BAD_POLICY):
        pass
    config = lab.path("stack.yaml")
    with open(config) as text:
        lines = text.read().replace("policy:\n", "policy:\n  start_gate: open\n")
    lab.write("open.yaml", lines)
    daemon = lab.start(lab.app("pel"), "stack", "--config", lab.path("open.yaml"), log="stack.log")
    lab.wait_for("the daemon", lambda: daemon.poll() is not None or "ready: " in lab.log_of(daemon), 20)
    has(lab.log_of(daemon), "no policy is in force; the start gate is open by configuration")
    _, found = doctor(lab)
    expect(found["severity"] == "info" and not found["start_gate"]["closed"], str(found))
    has(found["found"], "open by configuration, and no policy is loaded")
    lab.stop(daemon)


def no_stack_case(lab):
    result = lab.run(lab.app("pel"), "doctor", "--socket", lab.path("nobody.sock"))
    has(result.text, "warn  start-gate     no stack answers on ")
    reply = json.loads(lab.run(lab.app("pel"), "doctor", "--json", "--root", lab.dir, check=False).text)
    expect(reply["stacks"] == [], str(reply["stacks"]))


# ---- SecondaryMap ----

# A file server with a process for each session, as FTP's are: PASV answers with a port, PORT connects.
FILE_SERVER = """
import os, signal, socket
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("10.77.0.2", 2121))
listener.listen(5)
print("listening", flush=True)

def serve(control, peer):
    lines = control.makefile("rw")
    for line in lines:
        words = line.split()
        if words[0] == "PASV":
            passive = socket.socket()
            passive.bind(("10.77.0.2", 0))
            passive.listen(1)
            print(passive.getsockname()[1], file=lines, flush=True)
            data, _ = passive.accept()
        else:
            data = socket.create_connection((peer[0], int(words[1])))
        data.sendall(b"contents of the file\\n")
        data.close()

while True:
    control, peer = listener.accept()
    if os.fork() == 0:
        listener.close()
        serve(control, peer)
        os._exit(0)
    control.close()
"""

FILE_CLIENT = """
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
context.check_hostname = False

def fetch(data):
    with context.wrap_socket(data, suppress_ragged_eofs=False) as secured:
        return secured.version(), b"".join(iter(lambda: secured.recv(100), b""))

sessions = []
for _ in range(2):
    control = context.wrap_socket(socket.create_connection(("10.77.0.2", 2121), 10))
    sessions.append(control.makefile("rw"))
for lines in sessions:
    print("PASV", file=lines, flush=True)
    print("passive", *fetch(socket.create_connection(("10.77.0.2", int(lines.readline())), 10)))
for lines in sessions:
    active = socket.socket()
    active.settimeout(10)
    active.bind(("10.77.0.1", 0))
    active.listen(1)
    print("PORT", active.getsockname()[1], file=lines, flush=True)
    print("active", *fetch(active.accept()[0]))
"""


def secondary_case(lab):
    need_library(lab)
    lab.make_ca("ca")
    lab.make_cert("web", "ca", "--dns", "web.example")
    policy = GROUP + inbound("CONTROL", CONTROL_PORT, "web", more=advanced("SecondaryMap On"))
    with stack(lab, policy):
        server = lab.start(*run_words(lab, "python3", "-c", FILE_SERVER), log="server.log")
        lab.wait_for("the server", lambda: "listening" in lab.log_of(server))
        result = lab.run("python3", "-c", FILE_CLIENT, f"{lab.ring('ca')}/ca.crt")
        for how in ("passive", "active"):
            expect(result.text.count(f"{how} TLSv1.3 b'contents of the file\\n'") == 2, result.text)
        lab.wait_for("the ends", lambda: lab.control("conns", "stack")["connections"] == [])
        check_secondaries(lab)
        lab.stop(server, signal.SIGKILL)


def check_secondaries(lab):
    recent = lab.control("conns", "stack")["recent"]
    control = {conn["id"]: conn for conn in recent if conn["map"] == "primary"}
    data = [conn for conn in recent if conn["map"] == "secondary"]
    expect(len(control) == 2 and len(data) == 4, str(recent))
    for conn in data:
        expect(conn["rule"] == "CONTROL" and conn["version"] == "TLSv1.3" and conn["role"] == "server", str(conn))
        expect(conn["follows"] in control, str(conn))
    # Each process's own: two followers for each of the two sessions.
    expect(sorted(conn["follows"] for conn in data) == sorted(2 * list(control)), str(data))
    expect("follows" not in next(iter(control.values())), str(control))
    expect(lab.stat("map_secondary", "stack") == 4 and lab.stat("map_no_rule", "stack") == 0, "counters")
    text = lab.pel("conns", "--recent", "--socket", lab.path("stack.sock")).text
    has(text, "MAP", "primary", "secondary")


def cases(lab, reporter):
    case = reporter.case
    case("start gate: closed after a wrong policy, and whom it held", lambda: gate_case(lab))
    case("start gate: open by configuration", lambda: open_gate_case(lab))
    case("pel doctor: no stack to ask", lambda: no_stack_case(lab))
    case("SecondaryMap: a file server that forks", lambda: secondary_case(lab))


if __name__ == "__main__":
    sys.exit(main("mapping", cases))
