#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What goes wrong around programs under the stack: they are killed, stopped, come and go by the hundred, take all they can get,
attach and say nothing; and the daemon is killed. Whoever has no part in it must not notice."""
import contextlib
import os
import signal
import socket
import threading
import time

from programs_lab import (GROUP, KERNEL, KERNEL_NAME, ON_KERNEL, Skip, expect, inbound, is_sanitized, main, need, outbound,
                          receive)
from puppet import Puppet, start_echo, undisturbed

PORTS = {"steady": 9100, "victim": 9101, "polled": 9102, "echo": 9200, "sink": 9201}
NUM_SHORT_LIVED = int(os.environ.get("PEL_PROGRAMS_SHORT_LIVED", "2000"))
MAX_SOCKETS = 256
SOON_S = 5.0  # at once, on a machine that may stop one of us for seconds
PIECE_LEN = 8192
POLICY = GROUP + "".join((
    inbound("STEADY", PORTS["steady"], "root/web"),
    inbound("VICTIM", "9101-9102", "root/web"),
    outbound("TO_KERNEL", "9200-9299", "root/trusting"),
))

# Resolves, connects, says a word, compares what comes back, and is gone.
ONCE = """
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list;
    if (argc < 3 || getaddrinfo(argv[1], argv[2], &hints, &list) != 0)
        return 2;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, list->ai_addr, list->ai_addrlen) != 0)
        return perror("connect"), 3;
    char got[64];
    size_t len = 0;
    if (write(fd, "a word", 6) != 6)
        return perror("write"), 4;
    while (len < 6) {
        ssize_t num = read(fd, got + len, sizeof got - len);
        if (num <= 0)
            return perror("read"), 5;
        len += (size_t)num;
    }
    return len == 6 && memcmp(got, "a word", 6) == 0 ? 0 : 6;
}
"""


def echo(sock):
    while data := sock.recv(1 << 16):
        sock.sendall(data)


class Faults:
    def __init__(self, lab, case):
        self.lab = lab
        self.case = case
        self.seen = []  # when kernel servers saw the end of each connection, and how
        lab.serve(PORTS["echo"], self.echo_and_tell)
        lab.serve(PORTS["sink"], self.sink)
        self.steady = None
        self.start_steady()

    def start_steady(self):
        self.steady = start_echo(self.lab, PORTS["steady"])

    def echo_and_tell(self, sock):
        try:
            echo(sock)
            self.seen.append((time.monotonic(), "end"))
        except OSError as error:
            self.seen.append((time.monotonic(), type(error).__name__))
            raise

    def sink(self, sock):
        while sock.recv(1 << 16):
            pass

    def undisturbed(self):
        return undisturbed(self.lab, PORTS["steady"])

    def at_rest(self):
        """Waits until the daemon holds no more than the steady server's listener; its figures then."""
        lab = self.lab
        def is_at_rest():
            figures = lab.figures()
            return figures["connections"] == 0 and figures["packets"] == 0
        try:
            lab.wait_for("connections and packets to be gone", is_at_rest, 30)
        except AssertionError as error:
            raise AssertionError(f"{error}: {lab.figures()} {lab.control('conns', 'stack')['connections']}") from None
        return lab.figures()


def how_it_ends(sock, results):
    """When a blocked reader wakes, and why."""
    try:
        data = sock.recv(100)
        results.append((time.monotonic(), "data" if data else "end"))
    except OSError as error:
        results.append((time.monotonic(), type(error).__name__))


# ---- an application is killed ----

def killed_server(faults):
    lab = faults.lab
    with faults.undisturbed():
        victim = start_echo(lab, PORTS["victim"])
        results, threads = [], []
        for _ in range(10):
            sock = lab.connect(PORTS["victim"])
            sock.sendall(b"hello")
            expect(receive(sock, 5) == b"hello", "no echo")
            threads.append(threading.Thread(target=how_it_ends, args=(sock, results)))
            threads[-1].start()
        begun = time.monotonic()
        lab.stop(victim, signal.SIGKILL)
        for thread in threads:
            thread.join(20)
        expect(len(results) == 10, f"only {len(results)} of 10 clients saw the end")
        longest = max(when for when, _ in results) - begun
        print(f"# the last client saw it after {longest:.3f} s", flush=True)
        expect(longest < SOON_S, f"after {longest:.2f} s")
        expect(ON_KERNEL or all(how not in ("end", "data") for _, how in results),
               f"the end of a killed program looked like a proper one: {results}")
    def is_free():
        try:
            lab.raw_connect(PORTS["victim"]).close()
        except OSError:
            return True
        return False
    lab.wait_for("its port to accept no longer", is_free)  # the connections of the dead may end before its listener
    again = start_echo(lab, PORTS["victim"])
    lab.stop(again, signal.SIGKILL)


def killed_client(faults):
    lab = faults.lab
    with faults.undisturbed():
        puppet = Puppet(lab)
        for _ in range(5):
            expect(puppet.ask(f"kept.append(socket.create_connection(('{KERNEL_NAME}', {PORTS['echo']})))") == "None", "connect")
            expect(puppet.ask("kept[-1].sendall(b'x'), kept[-1].recv(1)") == "(None, b'x')", "no echo")
        faults.seen.clear()
        begun = time.monotonic()
        puppet.process.kill()
        lab.wait_for("the servers to see it", lambda: len(faults.seen) == 5, 20)
        puppet.end()
        longest = max(when for when, _ in faults.seen) - begun
        print(f"# the last server saw it after {longest:.3f} s", flush=True)
        expect(longest < SOON_S, f"late: {faults.seen}")
        expect(ON_KERNEL or all(how != "end" for _, how in faults.seen), f"it looked like a proper end: {faults.seen}")


def killed_again_and_again(faults):
    """Memory and descriptors of the dead come back."""
    lab = faults.lab
    def one():
        puppet = Puppet(lab)
        line = f"kept.append(socket.create_connection(('{KERNEL_NAME}', {PORTS['sink']}))); kept[-1].setblocking(False)"
        expect(puppet.ask(line) == "done", "connect")
        puppet.tell("while True: select.select([], kept, []); kept[0].send(b'x' * 100000)")
        lab.wait_for("bytes", lambda: any(conn["bytes_out"] > 1 << 20 for conn in lab.control("conns", "stack")["connections"]),
                     30)
        puppet.process.kill()
        puppet.end()
    sizes = []
    for _ in range(3):
        for _ in range(8):
            one()
        sizes.append(faults.at_rest())
    print(f"# after 8 killed programs each: {sizes}", flush=True)
    # The daemon may not have closed yet what has just asked it for the figures.
    lab.wait_for("descriptors of the dead to be closed", lambda: lab.figures()["fds"] <= sizes[0]["fds"], 30)
    expect(is_sanitized(lab.build) or sizes[2]["rss_kb"] - sizes[1]["rss_kb"] < 1024 or sizes[1]["rss_kb"] - sizes[0]["rss_kb"] < 1024,
           "memory of the dead is kept")


# ---- an application is stopped ----

def is_stopped(pid):
    """All its threads."""
    def state(thread):
        with open(f"/proc/{pid}/task/{thread}/stat") as text:
            return text.read().rsplit(")", 1)[1].split()[0]
    return all(state(thread) == "T" for thread in os.listdir(f"/proc/{pid}/task"))


def stopped(faults):
    lab = faults.lab
    victim = start_echo(lab, PORTS["victim"])
    data = os.urandom(4 << 20)
    sock = lab.connect(PORTS["victim"])
    failed, moved, is_over = [], [0], threading.Event()

    def pump():
        try:
            while not is_over.is_set():
                at = moved[0] % len(data)
                piece = data[at:at + PIECE_LEN]
                sock.sendall(piece)
                expect(receive(sock, len(piece)) == piece, "what came back differs")
                moved[0] += len(piece)
        except Exception as error:  # told by the case
            failed.append(f"{type(error).__name__}: {error}")
    with faults.undisturbed() as steady:
        thread = threading.Thread(target=pump)
        thread.start()
        lab.wait_for("bytes", lambda: moved[0] > 100000 or failed, 30)
        victim.send_signal(signal.SIGSTOP)
        lab.wait_for("it to be stopped", lambda: is_stopped(victim.pid), 20)
        was = moved[0]
        # Meanwhile new clients come, and one that sends more than fits; the echo server beside it answers all the time.
        waiting = [lab.raw_connect(PORTS["victim"]) for _ in range(5)]
        steady.goes_on(100)
        time.sleep(2)
        expect(moved[0] <= was + PIECE_LEN, "a stopped program answers")  # one piece may have been under way
        victim.send_signal(signal.SIGCONT)
        lab.wait_for("it to go on", lambda: moved[0] > was + len(data) or failed, 30)
        is_over.set()
        thread.join(30)
    expect(not failed and not thread.is_alive(), failed or "it does not go on")
    for one in (sock, *waiting):
        one.close()
    lab.stop(victim, signal.SIGKILL)


# ---- many that come and go ----

def short_lived(faults):
    lab = faults.lab
    need("cc")
    once = lab.path("once")
    if not os.path.exists(once):
        lab.run("cc", "-O1", "-o", once, lab.write("once.c", ONCE))
    target = (KERNEL_NAME, str(PORTS["echo"]))

    def go(number):
        """Half by `pel run` each, half as children of one shell that `pel run` started."""
        begun = time.monotonic()
        xargs = ("xargs", "-P", "4", "-n", "1")
        for command in ((*xargs, *lab.under_stack(once, *target)), lab.under_stack(*xargs, once, *target)):
            numbers = "".join(f"{i}\n" for i in range(number // 2)).encode()
            result = lab.run(*command, input=numbers, check=False, timeout=900)
            expect(result.returncode == 0, f"xargs: {result.returncode}: {result.text[-1500:]}")
        return (time.monotonic() - begun) / number
    with faults.undisturbed():
        go(100)
        sizes = [lab.figures()]
        each = go(NUM_SHORT_LIVED)
    sizes.append(faults.at_rest())
    # What waits out its time (TIME-WAIT) takes memory that is used again: with many it is the next round that tells.
    for _ in range(2):
        if is_sanitized(lab.build) or sizes[-1]["rss_kb"] - sizes[-2]["rss_kb"] < 2048:
            break  # a sanitizer keeps freed memory for a while
        lab.wait_for("TIME-WAIT to be over", lambda: lab.control("stats", "stack")["time_wait"] == 0, 200)
        go(NUM_SHORT_LIVED)
        sizes.append(faults.at_rest())
    print(f"# {NUM_SHORT_LIVED} processes, {each * 1000:.1f} ms each; {sizes}", flush=True)
    lab.wait_for("all descriptors to be closed", lambda: lab.figures()["fds"] <= sizes[0]["fds"], 30)
    expect(is_sanitized(lab.build) or sizes[-1]["rss_kb"] - sizes[-2]["rss_kb"] < 2048, "memory was left behind, again and again")


# ---- one that takes all it can get ----

def greedy(faults):
    lab = faults.lab
    with faults.undisturbed() as steady:
        puppet = Puppet(lab)
        puppet.ask("import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))")
        answer = puppet.ask(f"for _ in range(5000): kept.append(socket.create_connection(('{KERNEL}', {PORTS['sink']})))", 60)
        num = int(puppet.ask("len(kept)"))
        expect(answer in ("!EMFILE", "!ENFILE", "!ENOBUFS"), f"{answer} after {num} sockets")
        expect(MAX_SOCKETS * 0.9 <= num <= MAX_SOCKETS, f"{num} sockets where {MAX_SOCKETS} are allowed")
        expect(puppet.ask("kept[0].send(b'x')") == "1", "what it had is gone")
        other = Puppet(lab)
        expect(other.ask(f"socket.create_connection(('{KERNEL}', {PORTS['echo']})).close()") == "None", "another gets none")
        other.end()
        steady.goes_on()
        puppet.ask("[sock.close() for sock in kept[10:]]; del kept[10:]")
        lab.wait_for("a socket again", lambda: puppet.ask(f"kept.append(socket.create_connection(('{KERNEL}', {PORTS['sink']})))")
                     == "None", 30)
        puppet.end()
    faults.at_rest()


# ---- one that says nothing, or nonsense ----

def silent(faults):
    lab = faults.lab
    before = lab.figures()
    with faults.undisturbed() as steady:
        socks = []
        for i in range(60):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            try:
                sock.connect(lab.attach)
            except OSError:
                sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                sock.connect(lab.attach)
            sock.settimeout(0.2)
            if i % 3:
                with contextlib.suppress(OSError):
                    sock.send(os.urandom(i * 40 + 1) if i % 3 == 1 else b"\0" * (i * 40 + 1))
            socks.append(sock)
        puppet = Puppet(lab)
        expect(puppet.ask(f"socket.create_connection(('{KERNEL}', {PORTS['echo']})).close()") == "None", "no one else gets in")
        puppet.end()
        steady.goes_on(100)
        for sock in socks:
            sock.close()
    try:
        lab.wait_for("their descriptors to be back", lambda: lab.figures()["fds"] <= before["fds"], 30)
    except AssertionError as error:
        raise AssertionError(f"{error}: {before}, now {lab.figures()}") from None


# ---- the daemon is killed ----

LISTEN = ("listener = socket.socket(); listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); "
          "listener.bind(('', {port})); listener.listen()")
POLLED = """
while True:
    poll.poll()
    try:
        peer = listener.accept()[0]
        break
    except BlockingIOError:
        pass
peer.sendall(b'here')
peer.close()
"""
GREET = "(lambda peer: (peer.sendall(b'here'), peer.close()))(listener.accept()[0])"


def daemon_killed(faults):
    """Connections end with ECONNRESET, at once; listeners wait for the next daemon and listen there as before."""
    lab = faults.lab
    reader, waiter, acceptor, poller = (Puppet(lab) for _ in range(4))
    connect = f"sock = socket.create_connection(('{KERNEL_NAME}', {PORTS['echo']}))"
    for puppet in (reader, waiter):
        expect(puppet.ask(connect) == "done", "connect")
    for puppet, port in ((acceptor, PORTS["victim"]), (poller, PORTS["polled"])):
        expect(puppet.ask(LISTEN.format(port=port)) == "done", "listen")
    waiter.ask("poll = select.epoll(); poll.register(sock, select.EPOLLIN)")
    poller.ask("poll = select.epoll(); poll.register(listener, select.EPOLLIN); listener.setblocking(False)")
    reader.tell("sock.recv(10)")
    waiter.tell("poll.poll()[0][1] & (select.EPOLLERR | select.EPOLLHUP | select.EPOLLIN) != 0")
    acceptor.tell(GREET)
    time.sleep(0.3)
    begun = time.monotonic()
    lab.stop(lab.daemon, signal.SIGKILL)
    heard = reader.hear(2 * SOON_S)
    expect(heard == "!ECONNRESET", f"a blocked recv says {heard}")
    expect(waiter.hear(2 * SOON_S) == "True", "epoll says nothing")
    print(f"# awake after {time.monotonic() - begun:.3f} s", flush=True)
    expect(waiter.ask("sock.recv(10)") == "!ECONNRESET", "then recv")
    heard = reader.ask(connect)
    expect(heard.startswith("!"), f"without a daemon connect says {heard}")
    lab.start_daemon(lab.path("stack.yaml"))
    lab.wait_for("a new connection of the same program", lambda: reader.ask(connect) == "done", 30)
    expect(reader.ask("sock.sendall(b'again'), sock.recv(5)") == "(None, b'again')", "no echo")
    # The program hears of a new connection by its poll, and takes it.
    poller.tell(f"exec({POLLED!r})")
    for puppet, port in ((acceptor, PORTS["victim"]), (poller, PORTS["polled"])):
        greeted(lab, port)
        puppet.hear()
    lab.wait_served(PORTS["steady"], faults.steady)  # that one, too, has to hear of the new daemon first
    with faults.undisturbed():
        pass
    for puppet in (reader, waiter, acceptor, poller):
        puppet.end()


def greeted(lab, port):
    """The listener is back within a second or so, as soon as its program has heard of the new daemon."""
    def is_greeted():
        try:
            with lab.connect(port) as sock:
                return receive(sock, 4) == b"here"
        except ConnectionRefusedError:
            return False
    lab.wait_for(f"port {port} to be listened to again", is_greeted, 30)


def daemon_stopped_properly(faults):
    """SIGTERM: programs are told, connections end, status 0."""
    lab = faults.lab
    reader = Puppet(lab)
    expect(reader.ask(f"sock = socket.create_connection(('{KERNEL_NAME}', {PORTS['echo']}))") == "done", "connect")
    reader.tell("sock.recv(10)")
    status = lab.stop(lab.daemon)
    heard = reader.hear()
    expect(status == 0, f"exit status {status}:\n{lab.log_of(lab.daemon)[-2000:]}")
    expect(heard == "!ECONNRESET", f"a blocked recv says {heard}")
    reader.end()


def cases(lab, case):
    lab.start_stack(POLICY, attach=f"  max_sockets: {MAX_SOCKETS}\n", more="stop:\n  drain_s: 1\n")
    faults = Faults(lab, case)
    listed = [(f"a server is killed: its clients see a reset within {SOON_S:g} s, its port is free", killed_server),
              (f"a client is killed: its servers see a reset within {SOON_S:g} s", killed_client),
              ("programs are killed again and again while they send: memory and descriptors come back", killed_again_and_again),
              ("a server is stopped under load, and goes on: equal", stopped),
              (f"{NUM_SHORT_LIVED} short-lived programs leave nothing behind", short_lived),
              ("a program that takes sockets without end gets EMFILE, others theirs", greedy),
              ("attached and silent, or talking nonsense: nobody notices", silent),
              ("the daemon is killed: no program hangs, and the same programs go on with the next", daemon_killed),
              ("the daemon ends on SIGTERM, and programs are told", daemon_stopped_properly)]
    for name, run in listed:
        def one(run=run):
            if ON_KERNEL and run in (killed_again_and_again, short_lived, greedy, silent, daemon_killed, daemon_stopped_properly):
                raise Skip("there is no daemon")
            run(faults)
        case(name, one)


if __name__ == "__main__":
    raise SystemExit(main("faults", cases))
