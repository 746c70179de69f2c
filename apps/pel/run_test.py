#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""pel stack and pel run as they are typed: what they say, how they end, what they refuse, which rights the daemon keeps, and a
daemon for one program alone. What programs can do with their sockets is tests/programs' matter."""
import contextlib
import ctypes.util
import os
import select
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tests/interop"))
from lab import GROUP, Skip, expect, inbound, main  # noqa: E402

NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
POLICY = """TTLSRule clear
{
  RemotePortRange 9
  Direction Outbound
  TTLSGroupActionRef off
}
TTLSGroupAction off
{
  TTLSEnabled Off
}
"""
URING = """import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall(425, 1, None)
status = open("/proc/self/status").read()
print("uring", ctypes.get_errno(), status.split("NoNewPrivs:")[1].split()[0], status.split("Seccomp:")[1].split()[0])
"""


def has(text, *parts):
    for part in parts:
        expect(part in text, f"no {part!r} in: {text}")


def config_of(lab, name, device="pel0", more="", policy=POLICY):
    lab.write(f"{name}.policy", policy)
    return lab.write(f"{name}.yaml", f"""port:
  device: "net_tap0,iface={device}"
ip:
  addresses: [ "10.77.0.2/24" ]
policy:
  files: [ "{lab.path(name + '.policy')}" ]
control:
  socket: "{lab.path(name + '.sock')}"
attach:
  socket: "{lab.path(name + '.attach')}"
{more}stop:
  drain_s: 5
""")


def start_stack(lab, config, *more, name="stack", **popen):
    process = lab.start(lab.app("pel"), "stack", "--config", config, *more, log=f"{name}.log", **popen)
    lab.wait_for("the daemon", lambda: process.poll() is not None or "ready: " in lab.log_of(process), 20)
    expect(process.poll() is None, f"the daemon did not start:\n{lab.log_of(process)}")
    return process


@contextlib.contextmanager
def stack(lab, more="", *arguments):
    process = start_stack(lab, config_of(lab, "stack", more=more), *arguments)
    try:
        yield process
    finally:
        lab.stop(process)


def pel_run(lab, *arguments, check=False, **more):
    return lab.run(lab.app("pel"), "run", *arguments, check=check, **more)


def need_library(lab):
    if not os.path.exists(f"{lab.build}/apps/preload/libpellucid-preload.so"):
        raise Skip("the preload library is not in this build")


# ---- pel run: what it refuses before anything starts ----

def usage_case(lab):
    for arguments, status, said in (
            ([], 2, "name a program"),
            (["--attach"], 2, "requires an argument"),
            (["--config", "x", "--", "true"], 2, "give --policy FILE too"),
            (["--policy", "x", "--attach", "y", "--", "true"], 2, "give one"),
            (["--", "no-such-program"], 127, "no-such-program: not found"),
            (["--", lab.write("text", "x")], 126, "Permission denied"),
            (["--", "/nonexistent/x"], 127, "/nonexistent/x: not found")):
        result = pel_run(lab, *arguments)
        expect(result.returncode == status, f"{arguments}: {result.returncode}\n{result.text}")
        has(result.text, said)


def elf(machine=62, bits=2):
    return b"\x7fELF" + bytes([bits, 1, 1]) + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, 64, 0, 0, 64, 56, 0, 0, 0, 0)


def judge_case(lab):
    def program(name, content, mode=0o755):
        path = lab.path(name)
        with open(path, "wb") as out:
            out.write(content)
        os.chmod(path, mode)
        return path
    privileged = lab.path("set-user-id")
    shutil.copy("/bin/true", privileged)
    os.chown(privileged, 65534, 65534)
    os.chmod(privileged, 0o4755)
    programs = [(program("fixed", elf()), "is linked statically"), (program("old", elf(bits=1)), "is a 32-bit program"),
                (program("arm", elf(machine=183)), "another kind of machine"), (privileged, "is setuid, setgid"),
                (program("script", f"#!{lab.path('fixed')}\n".encode()), "is linked statically"),
                (program("lost", b"#!/nonexistent/interpreter\n"), "/nonexistent/interpreter cannot be looked at")]
    for path, said in (("/sbin/ldconfig", "is linked statically"), ("/usr/lib/go/bin/go", "is a Go program")):
        if os.path.exists(path):
            programs.append((path, said))
    for path, said in programs:
        result = pel_run(lab, "--", path)
        expect(result.returncode == 126, f"{path}: {result.returncode}\n{result.text}")
        has(result.text, said, "--allow-kernel", "in clear")


def no_daemon_case(lab):
    need_library(lab)
    result = pel_run(lab, "--attach", lab.path("nobody"), "--", "true")
    expect(result.returncode == 125, str(result.returncode))
    has(result.text, f"no daemon answers at {lab.path('nobody')}: start one with `pel stack`, or give --policy FILE")
    result = pel_run(lab, "--attach", "/" + "x" * 200, "--", "true")
    expect(result.returncode == 125, str(result.returncode))
    has(result.text, "at most 107 bytes")


def no_library_case(lab):
    os.makedirs(lab.path("alone"))
    shutil.copy(lab.app("pel"), lab.path("alone/pel"))
    result = lab.run(lab.path("alone/pel"), "run", "--", "true", check=False)
    if "is missing" not in result.text and result.returncode == 125 and "no daemon answers" in result.text:
        raise Skip("a library is installed on this machine")
    expect(result.returncode == 125, f"{result.returncode}: {result.text}")
    has(result.text, "libpellucid-preload.so is missing: install Pellucid")


# ---- pel run: with a daemon ----

def environment_case(lab):
    need_library(lab)
    attach = lab.path("stack.attach")
    with stack(lab):
        result = pel_run(lab, "--attach", attach, "--", "sh", "-c", "exit 7")
        expect(result.returncode == 7, result.text)
        result = pel_run(lab, "--attach", "stack.attach", "--job", "PAY", "--", "env", cwd=lab.dir)
        has(result.text, f"PELLUCID_ATTACH={attach}\n", "PELLUCID_JOB=PAY\n", "libpellucid-preload.so\n")
        expect("PELLUCID_ALLOW_KERNEL" not in result.text, result.text)
        # A library that was there before stays, behind; and a pel run around this one says where to attach.
        other = ctypes.util.find_library("m")
        result = pel_run(lab, "--allow-kernel", "--", "env",
                         env=dict(os.environ, LD_PRELOAD=other, PELLUCID_ATTACH=attach, PELLUCID_JOB="old"))
        has(result.text, f"libpellucid-preload.so:{other}\n", "PELLUCID_ALLOW_KERNEL=1\n", f"PELLUCID_ATTACH={attach}\n")
        expect("PELLUCID_JOB" not in result.text, result.text)


def uring_case(lab):
    need_library(lab)
    with stack(lab):
        result = pel_run(lab, "--attach", lab.path("stack.attach"), "--", sys.executable, "-c", URING)
        has(result.text, "uring 38 1 2\n")
        result = pel_run(lab, "--attach", lab.path("stack.attach"), "--allow-kernel", "--", sys.executable, "-c", URING)
        expect(result.text.endswith(" 0 0\n"), result.text)


def allow_case(lab):
    need_library(lab)
    if not os.path.exists("/sbin/ldconfig"):
        raise Skip("no static program on this machine")
    with stack(lab):
        result = pel_run(lab, "--attach", lab.path("stack.attach"), "--allow-kernel", "--", "/sbin/ldconfig", "--version")
        expect(result.returncode == 0, result.text)
        has(result.text, "It runs on the kernel's network, in clear, since --allow-kernel was given", "ldconfig (")


def job_case(lab):
    need_library(lab)
    attach = lab.path("stack.attach")
    as_nobody = [*NOBODY, lab.app("pel"), "run", "--attach", attach, "--job", "PAY", "--", "true"]
    with stack(lab):
        result = lab.run(*as_nobody, check=False)
        expect(result.returncode == 125, result.text)
        has(result.text, "may not choose the job's name (attach.jobs_named")
        result = pel_run(lab, "--attach", attach, "--job", "two words", "--", "true")
        expect(result.returncode == 125, result.text)
        has(result.text, "no job name")
    with stack(lab, more="  jobs_named: [ nobody ]\n"):
        expect(lab.run(*as_nobody).returncode == 0, "refused")
    with stack(lab, more='  mode: "0600"\n'):
        result = lab.run(*as_nobody, check=False)
        expect(result.returncode == 125, result.text)
        has(result.text, "this user may not attach to the daemon")


def speed_case(lab):
    need_library(lab)
    durations = []
    with stack(lab):
        for _ in range(15):
            begin = time.monotonic()
            subprocess.run([lab.app("pel"), "run", "--attach", lab.path("stack.attach"), "--", "/bin/true"], check=True)
            durations.append(time.monotonic() - begin)
    expect(statistics.median(durations) < 0.05, f"{[round(1000 * d) for d in durations]} ms")


# ---- pel stack ----

def refused_starts_case(lab):
    def start(config, *more, before=()):
        result = lab.run(*before, lab.app("pel"), "stack", "--config", config, *more, check=False, timeout=30)
        expect(result.returncode == 1, f"{result.returncode}: {result.text}")
        return result.text
    has(start(lab.path("nothing.yaml")), "nothing.yaml does not exist; write one")
    has(start(lab.write("bad.yaml", "port: 1\n")), "bad.yaml:1:7")
    has(start(config_of(lab, "mine", more="  group: no-such-group\n")), "there is no group no-such-group")
    with stack(lab):
        has(start(config_of(lab, "mine")), "the interface pel0 exists already")
        other = config_of(lab, "mine", device="pel1")
        has(start(other, "--attach", lab.path("stack.attach")), f"another process answers on {lab.path('stack.attach')}")
        has(start(other, "--control", lab.path("stack.sock")), f"another process answers on {lab.path('stack.sock')}")
        os.chmod(lab.path("mine.yaml"), 0o644)
        has(start(other, before=NOBODY), "CAP_NET_ADMIN")
        # None of them has harmed the one that runs, or left anything.
        has(lab.pel("stats", "--json", "--socket", lab.path("stack.sock")).text, '"ok": true')
        expect(lab.run("ip", "link", "show", "pel1", check=False).returncode != 0, "pel1 is left")
    usage = lab.run(lab.app("pel"), "stack", "--colour", check=False)
    expect(usage.returncode == 2, usage.text)


def check_case(lab):
    config = config_of(lab, "check")
    has(lab.run(lab.app("pel"), "stack", "--check", "--config", config).text, "are right")
    lab.write("check.policy", "TTLSRule x\n{\n  Colour 1\n}\n")
    result = lab.run(lab.app("pel"), "stack", "--check", "--config", config, check=False)
    expect(result.returncode == 1, result.text)
    has(result.text, "check.policy:3:3: error: ")
    expect(lab.run("ip", "link", "show", "pel0", check=False).returncode != 0, "it has made a port")


class Manager:
    """The service manager's end of the notifications."""

    def __init__(self, lab):
        self.path = lab.path("notify")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(20)

    def next(self):
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().split("\n"))


def notify_case(lab):
    manager = Manager(lab)
    os.environ["NOTIFY_SOCKET"] = manager.path
    try:
        process = start_stack(lab, config_of(lab, "stack"))
    finally:
        del os.environ["NOTIFY_SOCKET"]
    said = manager.next()
    expect(said.get("READY") == "1" and "1 engines" in said["STATUS"], str(said))
    process.send_signal(signal.SIGHUP)
    said = manager.next()
    expect(said.get("RELOADING") == "1" and int(said["MONOTONIC_USEC"]) > 0, str(said))
    said = manager.next()
    expect(said.get("READY") == "1" and "fresh policy" in said["STATUS"], str(said))
    lab.write("stack.policy", "TTLSRule {\n")
    process.send_signal(signal.SIGHUP)
    expect("RELOADING" in manager.next(), "no RELOADING")
    has(manager.next()["STATUS"], "the old policy: the new has errors")
    has(lab.log_of(process), "stack.policy:1:", "generation 2 stays in force")
    process.send_signal(signal.SIGTERM)
    expect(manager.next().get("STOPPING") == "1", "no STOPPING")
    expect(process.wait(10) == 0, f"exit status {process.returncode}\n{lab.log_of(process)}")
    for left in ("stack.sock", "stack.attach"):
        expect(not os.path.exists(lab.path(left)), f"{left} is left")


def status_of(path):
    with open(path) as text:
        return dict(line.rstrip("\n").split(":\t", 1) for line in text if ":\t" in line)


def rights_case(lab):
    # The keys may be another user's: the daemon reads them again at each reload.
    lab.make_ca("ca")
    lab.make_cert("web", "ca", "--dns", "www.test")
    for folder, _, names in os.walk(lab.path("rings")):
        for name in (".", *names):
            os.chown(os.path.join(folder, name), 65534, 65534)
    os.makedirs(lab.path("rings"), mode=0o700, exist_ok=True)
    os.chmod(lab.path("rings"), 0o700)
    config = config_of(lab, "stack", policy=GROUP + inbound("HTTPS", 443, "web"))
    with open(config) as text:
        keyed = text.read().replace("policy:\n", f'policy:\n  keyring_dir: "{lab.path("rings")}"\n')
    lab.write("stack.yaml", keyed)
    process = start_stack(lab, config)
    try:
        has(lab.log_of(process), "sandbox: ")
        if "sanitized build" in lab.log_of(process):
            raise Skip("sanitized build")
        threads = [status_of(f"/proc/{process.pid}/task/{thread}/status") for thread in os.listdir(f"/proc/{process.pid}/task")]
        expect(len(threads) >= 4, f"{len(threads)} threads")
        allowed = 1 << 2 | 1 << 19  # CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE
        for thread in threads:
            for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                expect(int(thread[kind], 16) & ~allowed == 0, f"{thread['Name']}: {kind} {thread[kind]}")
            expect(int(thread["CapBnd"], 16) == 0 and thread["NoNewPrivs"] == "1" and thread["Seccomp"] == "2", str(thread))
        expect(any(int(thread["CapPrm"], 16) == 0 and int(thread["Seccomp_filters"]) == 2 for thread in threads),
               "no thread has an engine's rights")
        # Frames, reloads, and the control socket work like that.
        process.send_signal(signal.SIGHUP)
        lab.wait_for("the reload", lambda: "fresh policy" in lab.log_of(process))
        has(lab.log_of(process), "policy generation 2: 1 rules, 0 warnings, 0 rules that cannot be served")
        lab.address_tap()
        expect(lab.run("curl", "-s", "-m", "5", "http://10.77.0.2/", check=False).returncode == 7, "no RST of a closed port")
        lab.pel("policy", "load", "--socket", lab.path("stack.sock"), lab.path("stack.policy"))
        expect("refused system call" not in lab.log_of(process), lab.log_of(process))
    finally:
        lab.stop(process)
    has(lab.log_of(process), "stopped: 0 connections were reset")
    process = start_stack(lab, config_of(lab, "stack"), "--no-sandbox")
    has(lab.log_of(process), "sandbox: none, since --no-sandbox was given")
    expect(status_of(f"/proc/{process.pid}/status")["NoNewPrivs"] == "0", "NoNewPrivs")
    lab.stop(process)


def log_case(lab):
    """A log that is closed, full, or that nobody reads, stops nothing."""
    config = config_of(lab, "stack")
    command = ["ip", "netns", "exec", lab.ns, lab.app("pel"), "stack", "--config", config]
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    with open("/dev/full", "wb") as full:
        for name, err in (("closed", None), ("full", full), ("stuck", writer)):
            manager = Manager(lab)
            more = {"preexec_fn": lambda: os.close(2)} if err is None else {"stderr": err}
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=dict(os.environ, NOTIFY_SOCKET=manager.path), **more)
            try:
                expect(manager.next().get("READY") == "1", f"{name}: not ready")
                for _ in range(3):
                    process.send_signal(signal.SIGHUP)
                    expect("RELOADING" in manager.next() and "READY" in manager.next(), name)
                has(lab.pel("stats", "--json", "--socket", lab.path("stack.sock")).text, '"ok": true')
                if name == "stuck":
                    while select.select([reader], [], [], 0)[0]:
                        os.read(reader, 65536)
                    process.send_signal(signal.SIGHUP)
                    manager.next()
                    manager.next()
                    has(os.read(reader, 65536).decode(), "lines could not be written")
            finally:
                process.terminate()
                expect(process.wait(10) == 0, f"{name}: exit status {process.returncode}")
    os.close(reader)
    os.close(writer)


# ---- draining ----

CLIENT = """import socket, sys
s = socket.create_connection(("10.77.0.1", 9999))
print("connected", flush=True)
while True:
    data = s.recv(100)
    if not data:
        break
    print(data.decode(), flush=True)
print("ended", flush=True)
"""


def drain_case(lab, patient):
    need_library(lab)
    process = start_stack(lab, config_of(lab, "stack", policy=POLICY.replace("9\n", "9999\n")))
    lab.address_tap()
    code = "import socket,sys\ns=socket.create_server(('10.77.0.1',9999))\nc=s.accept()[0]\nsys.stdin.read(1)\nc.sendall(b'last')\nc.close()\n"
    server = lab.start(sys.executable, "-c", code, log="server.log")
    client = None
    try:
        lab.wait_for("the server", lambda: ":9999" in lab.run("ss", "-tln").text)
        client = lab.start(lab.app("pel"), "run", "--attach", lab.path("stack.attach"), "--", sys.executable, "-c", CLIENT,
                           log="client.log")
        lab.wait_for("the connection", lambda: "connected" in lab.log_of(client) or client.poll() is not None)
        expect(client.poll() is None, lab.log_of(client))
        process.send_signal(signal.SIGTERM)
        lab.wait_for("the drain", lambda: "connections have 5 s to end" in lab.log_of(process))
        expect(process.poll() is None, "it did not wait")
        if patient:
            server.stdin.write(b"x")
            server.stdin.flush()
            lab.wait_for("the last bytes", lambda: "ended" in lab.log_of(client))
            has(lab.log_of(client), "last")
        else:
            process.send_signal(signal.SIGTERM)
        expect(process.wait(4) == 0, f"exit status {process.returncode}")
        has(lab.log_of(process), f"stopped: {0 if patient else 1} connections were reset")
    finally:
        for each in (client, server, process):
            if each is not None:
                lab.stop(each, signal.SIGKILL)


# ---- a daemon for one program ----

def left_overs(lab):
    links = lab.run("ip", "-o", "link").text
    folders = [name for name in os.listdir(lab.dir) if name.startswith("pellucid-run-")]
    return (["device"] if "pel0" in links else []) + folders


def private(lab, *arguments, **more):
    return pel_run(lab, "--policy", lab.write("own.policy", POLICY), *arguments, env=dict(os.environ, TMPDIR=lab.dir), **more)


def private_case(lab):
    need_library(lab)
    result = private(lab, "--", "sh", "-c", "ip -o addr show pel0; test -S $PELLUCID_ATTACH && exit 9")
    expect(result.returncode == 9, f"{result.returncode}: {result.text}")
    has(result.text, "10.7.0.2/24")
    result = private(lab, "--", "sh", "-c", "kill -9 $$")
    expect(result.returncode == 137, f"{result.returncode}: {result.text}")
    result = private(lab, "--verbose", "--", "true")
    has(result.text, "ready: 1 engines", "stopped: 0 connections")
    result = private(lab, "--config", config_of(lab, "base", device="pel7"), "--", "ip", "-o", "link")
    has(result.text, "pel7")
    expect(not left_overs(lab), str(left_overs(lab)))


def private_first_process_case(lab):
    """Its own number is 1 then, which is also that of whoever takes orphans."""
    policy = lab.write("own.policy", POLICY)
    result = lab.run("unshare", "--pid", "--fork", "--mount-proc", lab.app("pel"), "run", "--policy", policy, "--", "sh", "-c",
                     "echo it runs as $$", check=False, env=dict(os.environ, TMPDIR=lab.dir))
    expect(result.returncode == 0 and "it runs as" in result.text, f"status {result.returncode}: {result.text}")


def private_refused_case(lab):
    need_library(lab)
    bad = lab.write("own-bad.policy", "TTLSRule x\n{\n  Colour 1\n}\n")
    result = pel_run(lab, "--policy", bad, "--", "true", env=dict(os.environ, TMPDIR=lab.dir))
    expect(result.returncode == 125, result.text)
    has(result.text, "own-bad.policy:3:3: error: ")
    result = private(lab, "--config", lab.write("own-bad.yaml", "port: 1\n"), "--", "true")
    expect(result.returncode == 125, result.text)
    has(result.text, "own-bad.yaml:1:7", "the private daemon could not start")
    expect(not left_overs(lab), str(left_overs(lab)))


def daemons(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        found = [int(child) for child in children.read().split()]
    names = []
    for child in found:
        with open(f"/proc/{child}/cmdline") as text:
            names.append((child, text.read().split("\0")))
    return [child for child, words in names if words[:2] == ["pel", "stack"]], [c for c, w in names if w[:2] != ["pel", "stack"]]


def private_signals_case(lab):
    need_library(lab)
    policy = lab.write("own.policy", POLICY)
    code = "trap 'exit 5' TERM; echo begun; while :; do sleep 0.05; done"
    for number, status in ((signal.SIGTERM, 5), (signal.SIGKILL, -9)):
        os.environ["TMPDIR"] = lab.dir
        try:
            process = lab.start(lab.app("pel"), "run", "--policy", policy, "--", "sh", "-c", code, log="own.log")
        finally:
            del os.environ["TMPDIR"]
        lab.wait_for("the program", lambda: "begun" in lab.log_of(process) or process.poll() is not None, 20)
        (daemon,), (program,) = daemons(process.pid)
        process.send_signal(number)
        expect(process.wait(10) == status, f"{number}: {process.returncode}: {lab.log_of(process)}")
        lab.wait_for("the daemon's end", lambda: not os.path.exists(f"/proc/{daemon}"))
        if number == signal.SIGKILL:
            os.kill(program, signal.SIGKILL)  # it goes on, as any child does, without a network
            for folder in left_overs(lab):
                shutil.rmtree(lab.path(folder))
        expect(not left_overs(lab), str(left_overs(lab)))


def cases(lab, reporter):
    os.chmod(lab.dir, 0o755)
    case = reporter.case
    case("pel run: wrong usage, and programs that are none", lambda: usage_case(lab))
    case("pel run: programs that cannot be followed are refused", lambda: judge_case(lab))
    case("pel run: no daemon", lambda: no_daemon_case(lab))
    case("pel run: no library", lambda: no_library_case(lab))
    case("pel run: exit status and environment", lambda: environment_case(lab))
    case("pel run: no io_uring and no new rights inside", lambda: uring_case(lab))
    case("pel run: --allow-kernel", lambda: allow_case(lab))
    case("pel run: --job, who may, and who may attach", lambda: job_case(lab))
    case("pel run: /bin/true in less than 50 ms", lambda: speed_case(lab))
    case("pel stack: starts that fail, and say why", lambda: refused_starts_case(lab))
    case("pel stack --check", lambda: check_case(lab))
    case("pel stack: the service manager hears of start, reload and stop", lambda: notify_case(lab))
    case("pel stack: rights that it keeps", lambda: rights_case(lab))
    case("pel stack: a log that cannot be written", lambda: log_case(lab))
    case("pel stack: SIGTERM lets a connection end", lambda: drain_case(lab, True))
    case("pel stack: a second SIGTERM does not", lambda: drain_case(lab, False))
    case("pel run --policy: a daemon for one program", lambda: private_case(lab))
    case("pel run --policy: as the first process of a container", lambda: private_first_process_case(lab))
    case("pel run --policy: one that cannot start", lambda: private_refused_case(lab))
    case("pel run --policy: signals", lambda: private_signals_case(lab))


if __name__ == "__main__":
    sys.exit(main("run", cases))
