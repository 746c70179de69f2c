# SPDX-License-Identifier: Apache-2.0
"""A laboratory for unmodified programs: the stack's daemon on a tap port, `pel run` in front of a program, and kernel peers
that speak TLS. Names resolve through the namespace's own hosts file.

The stack is 10.7.0.1 and fd07::1 (stack.example), the kernel's end of the tap 10.7.0.2 and fd07::2 (server.example).
PEL_PROGRAMS_ENGINES=N gives the daemon so many engines. With PEL_PROGRAMS_ON_KERNEL=1 there is no stack and no TLS towards it:
the programs run as they are, over the loopback interface, which tells a mistake of a test from one of the stack."""
import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
from lab import GROUP, Lab, Reporter, Skip, advanced, expect, inbound, judge_refusals, outbound  # noqa: E402

STACK, STACK6, STACK_NAME = "10.7.0.1", "fd07::1", "stack.example"
KERNEL, KERNEL6, KERNEL_NAME = "10.7.0.2", "fd07::2", "server.example"
WRONG_NAME = "wrong.example"  # the kernel's address too, but in no certificate
NUM_ENGINES = int(os.environ.get("PEL_PROGRAMS_ENGINES", "1"))
ON_KERNEL = os.environ.get("PEL_PROGRAMS_ON_KERNEL") not in (None, "", "0")
ALERT_RECORD = 0x15
HANDSHAKE_RECORD = 0x16

HOSTS = f"""127.0.0.1 localhost
::1 localhost
{STACK} {STACK_NAME}
{KERNEL} {KERNEL_NAME} {WRONG_NAME}
{KERNEL6} server6.example
"""

# The origin that clients under the stack reach, with TLS 1.2 and 1.3; it logs what it saw of TLS.
ORIGIN = """daemon off; worker_processes 1; error_log {dir}/origin.err info; pid {dir}/origin.pid; user root;
events {{ worker_connections 512; }}
http {{
  log_format tls '$server_port $ssl_protocol $ssl_server_name $request_method $uri $status $body_bytes_sent';
  access_log {dir}/origin.log tls;
  client_body_temp_path {dir}/tmp1; proxy_temp_path {dir}/tmp2; fastcgi_temp_path {dir}/tmp3; uwsgi_temp_path {dir}/tmp4;
  scgi_temp_path {dir}/tmp5; root {dir}/www; client_max_body_size 64m; keepalive_requests 10000;
  server {{ listen {addr}:{port} {ssl}; listen [{addr6}]:{port} {ssl}; {certificate}
            location /put/ {{ root {dir}/up; dav_methods PUT; create_full_put_path on; }} }}
}}
"""


def is_sanitized(build):
    """Whether the daemon is: the library that is preloaded never is, for the programs are not."""
    with open(os.path.join(build, "meson-info", "intro-buildoptions.json")) as text:
        return any(option["name"] == "b_sanitize" and option["value"] not in ("none", "", [])
                   for option in json.load(text))


def need(*programs):
    """Skips the case if one of them is not installed."""
    for program in programs:
        if not os.path.exists(program) and shutil.which(program) is None:
            raise Skip(f"{program} is not installed: scripts/setup brings it")


class ProgramLab(Lab):
    """`policy` is what the daemon is started with; `more` are keys for its configuration."""

    def __init__(self, build, name):
        super().__init__(build, name)
        self.daemon = None
        self.etc = f"/etc/netns/{self.ns}"
        self.attach = self.path("attach.sock")
        self.listeners = []
        self.daemon_log = "stack.log"

    def __enter__(self):
        os.makedirs(self.etc)
        with open(os.path.join(self.etc, "hosts"), "w") as out:
            out.write(HOSTS)
        try:
            super().__enter__()
        except BaseException:
            shutil.rmtree(self.etc, ignore_errors=True)
            raise
        self.make_files()
        return self

    def __exit__(self, *_):
        for number in (signal.SIGTERM, signal.SIGHUP):  # a second one must not leave half of it behind
            signal.signal(number, signal.SIG_IGN)
        for listener in self.listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for process in list(self.started):
            self.stop(process)
        self.end_leftovers()
        super().__exit__(*_)
        shutil.rmtree(self.etc, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.rmdir("/etc/netns")

    def end_leftovers(self):
        """Everything in the namespace is ours, also what a program that was killed left behind."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            pids = subprocess.run(["ip", "netns", "pids", self.ns], stdout=subprocess.PIPE, check=False).stdout.split()
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), number)
            if pids:
                time.sleep(0.3)

    # ---- files and keyrings ----

    def make_files(self):
        for folder in ("www", "up", "up/put"):
            os.makedirs(self.path(folder))
        self.write("www/hello", "hello from a program that knows no TLS\n")
        for name, length in (("mega", 1 << 20), ("large", 16 << 20)):
            with open(self.path(f"www/{name}"), "wb") as out:
                out.write(os.urandom(length))
        self.make_ca("ca")
        self.make_cert("web", "ca", "--dns", STACK_NAME, "--ip", STACK, "--ip", STACK6)
        self.make_cert("origin", "ca", "--dns", KERNEL_NAME, "--dns", "server6.example", "--ip", KERNEL)
        trust = self.ring("trusting") + "/trust"
        os.makedirs(trust, mode=0o700)
        shutil.copy(self.ca, trust + "/ca.crt")
        shutil.copy(self.ca, self.path("ca.pem"))  # where every user may read it

    @property
    def ca(self):
        return self.ring("ca") + "/ca.crt"

    def cert_of(self, ring):
        return self.ring(ring) + "/mine.crt", self.ring(ring) + "/mine.key"

    def expect_same(self, one, other):
        same = subprocess.run(["cmp", self.path(one), self.path(other)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              check=False)
        expect(same.returncode == 0, f"{one} and {other} differ: {same.stdout.decode(errors='replace')}")

    # ---- the daemon ----

    def start_stack(self, policy, more="", attach=""):
        """`more` are keys of the configuration, `attach` lines below `attach:`."""
        if ON_KERNEL:
            self.add_addresses("lo", both=True)
            return None
        config = self.config("stack", policy, device="net_tap0,iface=pel0",
                             addresses=(f"{STACK}/24", f"{STACK6}/64"),
                             more=f"attach:\n  socket: \"{self.attach}\"\n{attach}{more}"
                             f"engine:\n  count: {NUM_ENGINES}\n")
        self.daemon = self.start_daemon(config)
        return self.daemon

    def start_daemon(self, config):
        """The daemon anew, also after it was killed."""
        for path in (self.attach, self.path("stack.sock")):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        self.daemon = daemon = self.start(self.app("pel"), "stack", "--config", config, log=self.daemon_log)
        self.wait_started(daemon)
        expect(daemon.poll() is None, f"pel stack did not start:\n{self.log_of(daemon)}")
        return daemon

    def wait_started(self, daemon):
        """Until programs can attach and `pel` can ask, whose socket comes last, or the daemon has ended; and the tap is up."""
        sockets = (self.attach, self.path("stack.sock"))
        self.wait_for("pel stack", lambda: daemon.poll() is not None or all(map(os.path.exists, sockets)), 30)
        if daemon.poll() is None:
            self.run("ip", "link", "set", "pel0", "up")
            self.add_addresses("pel0")

    def add_addresses(self, device, both=False):
        for address in (KERNEL, STACK) if both else (KERNEL,):
            self.run("ip", "addr", "add", f"{address}/24", "dev", device)
        for address in (KERNEL6, STACK6) if both else (KERNEL6,):
            self.run("ip", "addr", "add", f"{address}/64", "dev", device, "nodad")

    def under_stack(self, *command, job=None, allow_kernel=False):
        """The words that run a command with its sockets in the stack."""
        if ON_KERNEL:
            return command
        words = [self.app("pel"), "run", "--attach", self.attach]
        words += ["--job", job] if job else []
        words += ["--allow-kernel"] if allow_kernel else []
        return (*words, "--", *command)

    def start_under(self, *command, log, **more):
        return self.start(*self.under_stack(*command, **more), log=log)

    def run_under(self, *command, job=None, allow_kernel=False, **more):
        return self.run(*self.under_stack(*command, job=job, allow_kernel=allow_kernel), **more)

    def conns(self):
        reply = self.control("conns", "stack", "--recent")
        return reply["connections"] + reply["recent"]

    def expect_rule(self, rule, version="TLSv1.3", **more):
        """That `pel conns` shows a connection of this rule, with TLS; gives it."""
        if ON_KERNEL:
            return {}
        wanted = {"rule": rule, "version": version, **more}
        seen = self.conns()
        for conn in seen:
            if all((conn.get(key) or "") == value for key, value in wanted.items()):
                return conn
        lines = sorted({f"{conn['rule']!r} {conn['version']!r} {conn['state']} {conn.get('ended')}" for conn in seen})
        raise AssertionError(f"no connection with {wanted}; there were: {lines}")

    def count_stat(self, which):
        return 0 if ON_KERNEL else self.stat(which, "stack")

    def figures(self):
        """What the daemon holds now: connections, descriptors and resident memory."""
        reply = self.control("stats", "stack")
        with open(f"/proc/{self.daemon.pid}/status") as text:
            rss_kb = next(int(line.split()[1]) for line in text if line.startswith("VmRSS:"))
        return {"connections": reply["connections"], "packets": reply["port"]["packets_in_use"], "rss_kb": rss_kb,
                "fds": len(os.listdir(f"/proc/{self.daemon.pid}/fd"))}

    # ---- the kernel's side ----

    @property
    def https(self):
        return f"http://{STACK_NAME}" if ON_KERNEL else f"https://{STACK_NAME}"

    @contextlib.contextmanager
    def inside(self):
        """Sockets that this thread makes meanwhile are of the namespace."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/thread-self/ns/net") as own, open(f"/run/netns/{self.ns}") as there:
            expect(libc.setns(there.fileno(), 0) == 0, "setns")
            try:
                yield
            finally:
                expect(libc.setns(own.fileno(), 0) == 0, "setns back")

    def raw_connect(self, port, address=STACK, timeout=20):
        with self.inside():
            sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        sock.settimeout(timeout)
        try:
            sock.connect((address, port))
        except OSError:
            sock.close()
            raise
        return sock

    def connect(self, port, address=STACK, timeout=20, tls=True):
        """A kernel client's connection to a program under the stack, with TLS unless there is none."""
        sock = self.raw_connect(port, address, timeout)
        if ON_KERNEL or not tls:
            return sock
        context = ssl.create_default_context(cafile=self.ca)
        return context.wrap_socket(sock, server_hostname=STACK_NAME, suppress_ragged_eofs=False)

    def wait_served(self, port, process, tls=True, seconds=30):
        """Until the program accepts, which it must not have ended before; with TLS a handshake is made."""
        def is_there():
            if process.poll() is not None:
                return True
            try:
                self.connect(port, timeout=10, tls=tls).close()
                return True
            except OSError:
                return False
        self.wait_for(f"port {port}", is_there, seconds)
        expect(process.poll() is None, f"the program ended, status {process.returncode}:\n{self.log_of(process)[-3000:]}")

    def expect_no_clear(self, port, request, forbidden):
        """A client that speaks plain text must get nothing of the program's, and the stack must count it."""
        if ON_KERNEL:
            return
        before = self.count_stat("TLS_CLEARTEXT_RECEIVED")
        got = b""
        with self.raw_connect(port) as sock:
            sock.sendall(request)
            with contextlib.suppress(ConnectionError):
                while piece := sock.recv(4096):
                    got += piece
        expect(forbidden not in got and (not got or got[0] == ALERT_RECORD), f"answered in clear: {got[:200]!r}")
        expect(self.count_stat("TLS_CLEARTEXT_RECEIVED") > before, "TLS_CLEARTEXT_RECEIVED was not counted")

    def curl(self, *arguments, check=True, **more):
        return self.run("curl", "-sS", "--noproxy", "*", "-m", "60", "--cacert", self.ca, *arguments, check=check, **more)

    def fetch_same(self, url, name="mega", *more):
        """curl's copy of what is served must be the file."""
        self.curl("-f", *more, "-o", self.path("got"), f"{url}/{name}")
        self.expect_same(f"www/{name}", "got")

    def start_origin(self, port):
        cert, key = self.cert_of("origin")
        tls = "" if ON_KERNEL else "ssl"
        certificate = "" if ON_KERNEL else f"ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {cert}; ssl_certificate_key {key};"
        conf = self.write("origin.conf", ORIGIN.format(dir=self.dir, addr=KERNEL, addr6=KERNEL6, port=port, ssl=tls,
                                                       certificate=certificate))
        origin = self.start("nginx", "-e", self.path("origin.err"), "-c", conf, "-p", self.dir, log="origin.out")
        # It has one socket for each family, made one after the other.
        self.wait_for("the origin", lambda: self.run("ss", "-Hltn").text.count(f":{port} ") == 2, 30)
        return origin

    def origin_saw(self, port, method, uri, status, name=KERNEL_NAME, version="TLSv1.3"):
        """The origin's log must have the request, over TLS and for that name."""
        wanted = f"{port} - - {method} {uri} {status}" if ON_KERNEL else f"{port} {version} {name or '-'} {method} {uri} {status}"
        def is_logged():
            with open(self.path("origin.log")) as text:
                return any(line.startswith(wanted) for line in text)
        try:
            self.wait_for("the origin's log", is_logged, 20)
        except AssertionError:
            with open(self.path("origin.log")) as text:
                raise AssertionError(f"the origin's log has no {wanted!r}; its end:\n{text.read()[-500:]}") from None

    def relay_in(self, port, at, pinned=None):
        """127.0.0.1:AT in plain text for kernel clients without TLS, to the stack's PORT with TLS."""
        target = (f"TCP:{STACK}:{port},nodelay" if ON_KERNEL else
                  f"OPENSSL:{STACK}:{port},cafile={self.path('ca.pem')},commonname={STACK_NAME},nodelay")
        process = self.start("socat", "-t", "10", f"TCP-LISTEN:{at},bind={pinned or '127.0.0.1'},fork,reuseaddr,nodelay",
                             target, log=f"relay-{at}.log")
        self.wait_for("the relay", lambda: f":{at} " in self.run("ss", "-Hltn").text, 30)
        return process

    def relay_out(self, port, to):
        """The kernel's 10.7.0.2:PORT with TLS, for programs under the stack, to 127.0.0.1:TO in plain text."""
        cert, key = self.cert_of("origin")
        listen = (f"TCP-LISTEN:{port},bind={KERNEL},fork,reuseaddr,nodelay" if ON_KERNEL else
                  f"OPENSSL-LISTEN:{port},bind={KERNEL},fork,reuseaddr,cert={cert},key={key},verify=0,nodelay")
        process = self.start("socat", "-t", "10", listen, f"TCP:127.0.0.1:{to},nodelay", log=f"relay-{port}.log")
        self.wait_for("the relay", lambda: f":{port} " in self.run("ss", "-Hltn").text, 30)
        return process

    def serve(self, port, handler, tls=True):
        """A kernel server in this process: handler(socket) in a thread for each connection. With TLS unless told not to.

        Gives the list of what went wrong in it."""
        with self.inside():
            listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((KERNEL, port))
        listener.listen(64)
        self.listeners.append(listener)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.cert_of("origin"))
        errors = []

        def one(sock):
            try:
                sock.settimeout(30)
                with context.wrap_socket(sock, server_side=True, suppress_ragged_eofs=False) if tls and not ON_KERNEL else sock as stream:
                    handler(stream)
            except OSError as error:
                errors.append(f"{type(error).__name__}: {error}")

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    sock, _ = listener.accept()
                    threading.Thread(target=one, args=(sock,), daemon=True).start()
        threading.Thread(target=accept, daemon=True).start()
        return errors

    def ended_well(self, process, number=signal.SIGTERM, fine=(0,)):
        """Stops a program; its exit status must be one of those."""
        status = self.stop(process, number)
        expect(status in fine, f"exit status {status}:\n{self.log_of(process)[-2000:]}")

    def ends(self, process, seconds=30):
        """Waits for a program that ends by itself; its exit status."""
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end:\n{self.log_of(process)[-2000:]}") from None
        return self.stop(process)


def receive(sock, length):
    """Exactly so many bytes."""
    pieces, missing = [], length
    while missing > 0:
        piece = sock.recv(min(missing, 1 << 16))
        expect(piece, f"the peer closed with {missing} of {length} bytes missing")
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)


def receive_all(sock):
    """Up to the peer's proper end, which ssl calls an error when our own has been sent before."""
    pieces = []
    with contextlib.suppress(ssl.SSLZeroReturnError):
        while piece := sock.recv(1 << 16):
            pieces.append(piece)
    return b"".join(pieces)


def last_words(lines):
    """The end of a log, or a sanitizer's report in it."""
    first = next((i for i, line in enumerate(lines) if "ERROR: " in line or "runtime error: " in line), None)
    return lines[-15:] if first is None else lines[first:first + 45]


def main(name, cases):
    """Runs `cases(lab, case)` in a laboratory; exit status for meson's protocol 'tap'."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} BUILD_DIR")
    if os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
        print("1..0 # SKIP needs root and /dev/net/tun")
        return 0
    reporter = Reporter()
    started = time.monotonic()
    with ProgramLab(sys.argv[1], name) as lab:
        def case(what, run):
            begun = time.monotonic()
            reporter.case(what, run)
            print(f"#   {time.monotonic() - begun:.1f} s", flush=True)
            if lab.daemon is not None and lab.daemon.poll() is not None:
                print(f"# the daemon has ended, status {lab.daemon.returncode}:", flush=True)
                for line in last_words(lab.log_of(lab.daemon).splitlines()):
                    print(f"#   {line}", flush=True)
        cases(lab, case)
    judge_refusals(lab, reporter)
    print(f"# {time.monotonic() - started:.0f} s in all", flush=True)
    return reporter.end()


__all__ = ["ALERT_RECORD", "GROUP", "HANDSHAKE_RECORD", "KERNEL", "KERNEL6", "KERNEL_NAME", "ON_KERNEL", "ProgramLab", "STACK",
           "STACK6", "STACK_NAME", "Skip", "WRONG_NAME", "advanced", "expect", "inbound", "is_sanitized", "main", "need", "outbound", "receive",
           "receive_all"]
