#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One executable, `conformance`, over the kernel's sockets and over the stack's: each case must print the same words.

The kernel's run is between two network namespaces, over a veth pair; the stack's with the program in a namespace that has
nothing but loopback, `pel stack` and its tap port in another, and the peer on the kernel's side of the tap. differences.txt
has what is known to differ: the words that the stack gives (or others, where two ends race), and why. An entry that no longer
differs is a failure.

With --tls both ends are under a stack, each with a daemon of its own, joined by memory, and policy says TLS for every
connection; differences-tls.txt has what differs beside.

Usage: conformance_test.py BUILD_DIR [--tls] [GLOB]     GLOB: only cases of such names
"""
import fnmatch
import os
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "interop"))
from lab import GROUP, Lab, Reporter, Skip, expect, inbound, outbound  # noqa: E402

SELF, SELF6, PEER, PEER6 = "10.77.0.2", "fd77::2", "10.77.0.1", "fd77::1"
ADDRESSES = ("--self", SELF, "--self6", SELF6, "--peer", PEER, "--peer6", PEER6)
HOLE = "10.77.0.199"
RUN_SECONDS = 400
TLS_POLICY = GROUP + inbound("IN", "1-65535", "root/web") + outbound("OUT", "1-65535", "root/trusting")


def read_differences(path):
    """{case: its words and reason, or why it is not judged}; indented below the case."""
    found, name = {}, None
    with open(path) as text:
        for number, line in enumerate(text, 1):
            line = line.rstrip("\n")
            if not line or line.startswith("#"):
                continue
            if not line.startswith(" "):
                name = line
                expect(name not in found, f"{path}:{number}: {name} is there twice")
                found[name] = {"stack": None, "or": None, "because": None, "skip": None}
                continue
            key, _, value = line.strip().partition(": ")
            expect(name is not None and key in found[name] and value.strip(), f"{path}:{number}: not understood: {line}")
            found[name][key] = f"{found[name][key]} {value}" if found[name][key] else value
    for name, entry in found.items():
        expect(entry["skip"] or (entry["stack"] and entry["because"]), f"{path}: {name} lacks its words or its reason")
    return found


class ConformanceLab(Lab):
    """Its own namespace is the program's; the peer has another."""

    def __init__(self, build):
        super().__init__(build, "conf")
        self.program = f"{self.build}/tests/conformance/conformance"
        self.peer_ns = f"{self.ns}-peer"

    def __enter__(self):
        subprocess.run(["ip", "netns", "add", self.peer_ns], check=True)
        super().__enter__()
        for name in (self.ns, self.peer_ns):
            self.inside(name, "ip", "link", "set", "lo", "up")
            # What is refused is told each time, not some times a second.
            self.inside(name, "sysctl", "-qw", "net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0")
        return self

    def __exit__(self, *_):
        super().__exit__(*_)
        subprocess.run(["ip", "netns", "del", self.peer_ns], check=False)

    def inside(self, namespace, *command):
        subprocess.run(["ip", "netns", "exec", namespace, *command], check=True, stdin=subprocess.DEVNULL)

    def start_in(self, namespace, *command, log):
        own, self.ns = self.ns, namespace
        try:
            return self.start(*command, log=log)
        finally:
            self.ns = own

    def address(self, namespace, device, ip, ip6):
        self.inside(namespace, "ip", "link", "set", device, "up")
        self.inside(namespace, "ip", "addr", "add", f"{ip}/24", "dev", device)
        self.inside(namespace, "ip", "addr", "add", f"{ip6}/64", "dev", device, "nodad")

    def join_by_veth(self):
        self.inside(self.ns, "ip", "link", "add", "veth0", "type", "veth", "peer", "name", "veth0", "netns", self.peer_ns)
        self.address(self.ns, "veth0", SELF, SELF6)
        self.address(self.peer_ns, "veth0", PEER, PEER6)

    def start_stack(self):
        attach = self.path("attach.sock")
        config = self.config("stack", "", addresses=(f"{SELF}/24", f"{SELF6}/64"), more=f"attach:\n  socket: \"{attach}\"\nstop:\n  drain_s: 2\n")
        daemon = self.start_in(self.peer_ns, self.app("pel"), "stack", "--config", config, log="pel-stack.log")
        self.wait_for("pel stack", lambda: daemon.poll() is not None or os.path.exists(attach), 30)
        expect(daemon.poll() is None, f"pel stack did not start:\n{self.log_of(daemon)}")
        self.address(self.peer_ns, "pel0", PEER, PEER6)
        return daemon, (self.app("pel"), "run", "--attach", attach, "--")

    def start_tls_stack(self, name, role, address, address6):
        """A daemon with TLS for all; the words that run a program under it."""
        attach = self.path(f"{name}-attach.sock")
        config = self.config(name, TLS_POLICY, device=f"net_memif0,role={role},id=0,socket={self.path('memif')}",
                             addresses=(f"{address}/24", f"{address6}/64"),
                             more=f"attach:\n  socket: \"{attach}\"\nstop:\n  drain_s: 2\n")
        daemon = self.start(self.app("pel"), "stack", "--config", config, log=f"{name}-stack.log")
        self.wait_for("pel stack", lambda: daemon.poll() is not None or os.path.exists(attach), 30)
        expect(daemon.poll() is None, f"pel stack did not start:\n{self.log_of(daemon)}")
        return daemon, (self.app("pel"), "run", "--attach", attach, "--")

    def make_rings(self):
        self.make_ca("ca")
        self.make_cert("web", "ca", *(word for ip in (SELF, SELF6, PEER, PEER6) for word in ("--ip", ip)))
        trust = self.ring("trusting") + "/trust"
        os.makedirs(trust, mode=0o700)
        shutil.copy(self.ring("ca") + "/ca.crt", trust)

    def start_peer(self, name, before=(), more=()):
        control = self.path(f"{name}.control")
        peer = self.start_in(self.peer_ns, *before, self.program, "peer", "--listen", control, "--peer", PEER,
                             "--peer6", PEER6, *more, log=f"{name}-peer.log")
        self.wait_for("the peer", lambda: os.path.exists(control))
        return peer, control

    def outcomes(self, name, control, before=(), only="*", more=()):
        """Runs all cases; {case: words}, in their order."""
        process = self.start(*before, self.program, "run", *ADDRESSES, "--control", control, "--only", only,
                             *more, log=f"{name}.log")
        try:
            process.wait(RUN_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{name}: no end after {RUN_SECONDS} s:\n{self.log_of(process)[-500:]}") from None
        finally:
            self.stop(process)
        found = {}
        for line in self.log_of(process).splitlines():
            case, colon, words = line.partition(":")
            if colon and "." in case and " " not in case:
                found[case] = words.strip()
            elif case in self.listed:
                found[case] = words.strip()
        expect(process.returncode == 0, f"{name}: exit status {process.returncode}:\n{self.log_of(process)[-2000:]}")
        return found

    def list_cases(self, only):
        text = subprocess.run([self.program, "run", "--list"], check=True, stdout=subprocess.PIPE).stdout.decode()
        self.listed = [name for name in text.split("\n") if name and fnmatch.fnmatchcase(name, only)]
        return self.listed


def judge(name, kernel, stack, known):
    if known is not None and known["skip"]:
        raise Skip(known["skip"])
    expect(kernel is not None, "the kernel's run did not get to it")
    expect(stack is not None, "the stack's run did not get to it")
    if known is None:
        expect(kernel == stack, f"kernel: {kernel}\nstack:  {stack}")
        return
    if known["or"] == stack:
        return
    expect(kernel != stack, f"it has an entry and no longer differs: {kernel}")
    expect(known["stack"] == stack, f"kernel: {kernel}\nknown:  {known['stack']}\nstack:  {stack}")


def run_kernel(lab, only):
    lab.join_by_veth()
    peer, control = lab.start_peer("kernel")
    found = lab.outcomes("kernel", control, only=only)
    lab.stop(peer)
    lab.inside(lab.ns, "ip", "link", "del", "veth0")
    return found


def run_stack(lab, only):
    daemon, before = lab.start_stack()
    peer, control = lab.start_peer("stack")
    found = lab.outcomes("stack", control, before=before, only=only)
    lab.stop(peer)
    alive = daemon.poll() is None
    status = lab.stop(daemon)
    return found, None if alive and status == 0 else f"pel stack: status {status}\n{lab.log_of(daemon)[-2000:]}"


def run_tls(lab, only):
    lab.make_rings()
    daemon, before = lab.start_tls_stack("self", "server", SELF, SELF6)
    other, peer_before = lab.start_tls_stack("peer", "client", PEER, PEER6)
    peer, control = lab.start_peer("tls", before=peer_before, more=("--eager",))
    found = lab.outcomes("tls", control, before=before, only=only, more=("--hole", HOLE))
    complaints = []
    for process, name in ((daemon, "self"), (other, "peer")):
        if process.poll() is None and lab.stat("clear_bytes_out", name) > 0:
            complaints.append("bytes left in clear")
    lab.stop(peer)
    for process in (daemon, other):
        alive = process.poll() is None
        if lab.stop(process) != 0 or not alive:
            complaints.append(f"pel stack: status {process.returncode}\n{lab.log_of(process)[-2000:]}")
    return found, "\n".join(complaints) or None


def compare(lab, reporter, only, is_tls):
    tables = ("differences.txt", "differences-tls.txt") if is_tls else ("differences.txt",)
    known = {}
    for table in tables:
        known.update(read_differences(os.path.join(HERE, table)))
    listed = lab.list_cases(only)
    begun = time.monotonic()
    kernel = run_kernel(lab, only)
    print(f"# the kernel's run: {time.monotonic() - begun:.0f} s", flush=True)
    begun = time.monotonic()
    stack, complaint = (run_tls if is_tls else run_stack)(lab, only)
    print(f"# the stack's run: {time.monotonic() - begun:.0f} s", flush=True)
    for name in listed:
        reporter.case(name, lambda name=name: judge(name, kernel.get(name), stack.get(name), known.get(name)))
    reporter.case("pel stack was well all the time", lambda: expect(complaint is None, complaint))
    unknown = [name for name in known if only == "*" and name not in listed]
    reporter.case(f"{tables[-1]} names cases only", lambda: expect(not unknown, f"no such cases: {unknown}"))


def main():
    words = [word for word in sys.argv[1:] if word != "--tls"]
    if len(words) not in (1, 2):
        sys.exit(f"usage: {sys.argv[0]} BUILD_DIR [--tls] [GLOB]")
    build, only = words[0], words[1] if len(words) == 2 else "*"
    if os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
        print("1..0 # SKIP needs root and /dev/net/tun")
        return 0
    helps = subprocess.run([f"{build}/apps/pel/pel", "run", "--help"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           check=False)
    if helps.returncode != 0:
        print("1..0 # SKIP this build has no `pel run`")
        return 0
    reporter = Reporter()
    with ConformanceLab(build) as lab:
        compare(lab, reporter, only, "--tls" in sys.argv)
    return reporter.end()


if __name__ == "__main__":
    sys.exit(main())
