#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plain tools and small servers under the stack, TLS by policy: iperf3 as server and as client, in both directions and over
UDP, netcat and socat that listen, Python's socketserver and asyncio as servers."""
import hashlib
import json
import os
import re
import select
import signal
import socket
import ssl
import threading
import time

from programs_lab import (GROUP, KERNEL, KERNEL_NAME, ON_KERNEL, STACK, STACK_NAME, expect, inbound, main, need, outbound,
                          receive, receive_all)

PORTS = {"iperf": 5201, "relay": 6201, "iperf_clear": 5202, "out": 5301, "behind": 6301, "out_clear": 5302, "nc": 9000,
         "socat": 9001, "nofork": 9002, "threaded": 9003, "aio": 9004, "udp": 9005}
POLICY = GROUP + "".join((
    inbound("IPERF", PORTS["iperf"], "root/web"),
    inbound("PIPES", "9000-9005", "root/web"),
    outbound("TO_IPERF", PORTS["out"], "root/trusting"),
))

THREADED = """
import socketserver, sys
class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line.upper())
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads = True, True
with Server(('', int(sys.argv[1])), Echo) as server:
    server.serve_forever()
"""

ASYNCIO = """
import asyncio, sys
async def handle(reader, writer):
    size = int.from_bytes(await reader.readexactly(8), 'big')
    while size > 0:
        piece = await reader.read(min(size, 30000))
        if not piece:
            break
        size -= len(piece)
        writer.write(piece)
        await writer.drain()
    writer.close()
async def serve():
    async with await asyncio.start_server(handle, None, int(sys.argv[1])) as server:
        await server.serve_forever()
asyncio.run(serve())
"""

UDP = """
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(('', int(sys.argv[1])))
print('bound', flush=True)
while True:
    data, peer = sock.recvfrom(65536)
    sock.sendto(data[::-1], peer)
"""


def large(lab):
    with open(lab.path("www/large"), "rb") as data:
        return data.read()


# ---- iperf3 ----

def iperf_report(text):
    """iperf3's JSON; what the kernel's and the stack's side say must agree."""
    report = json.loads(text[text.index("{"):])
    expect("error" not in report, report.get("error"))
    return report


def expect_carried(text):
    end = iperf_report(text)["end"]
    sent, received = end["sum_sent"]["bytes"], end["sum_received"]["bytes"]
    expect(received > 1 << 20 and received <= sent, f"sent {sent} bytes, received {received}")
    print(f"# {end['sum_received']['bits_per_second'] / 1e6:.0f} Mbit/s", flush=True)


def lost_of_each(report):
    """(how many datagrams were lost, of how many) in each tenth of a second, as the end that received them counted."""
    if "server_output_text" not in report:
        return [(row["sum"]["lost_packets"], row["sum"]["packets"]) for row in report["intervals"]]
    lines = [line for line in report["server_output_text"].splitlines() if not line.endswith("receiver")]
    return [(int(lost), int(num)) for lost, num in re.findall(r" (\d+)/(\d+) \(", "\n".join(lines))]


def expect_datagrams(text):
    """While one of those that take part is stopped for lack of a processor, all that comes is lost once the buffers are full,
    also between two kernels. Who loses by himself does so all the time: many a tenth of a second must be without."""
    report = iperf_report(text)
    total, each = report["end"]["sum"], lost_of_each(report)
    fine = [row for row in each if row[0] * 5 < row[1]]
    expect(total["packets"] > 500 and len(fine) > 8 and len(fine) * 4 > len(each),
           f"{total['packets']} packets, {total['lost_percent']} % lost; lost of how many, each 0.1 s: {each}")
    print(f"# {total['packets']} datagrams, {total['lost_percent']:.2f} % lost, {len(fine)} of {len(each)} intervals fine", flush=True)


def iperf(host, port, *more):
    return ("iperf3", "-c", host, "-p", str(port), "-t", "4", "-J", "--connect-timeout", "20000", *more)


def iperf_udp(host, port, *more):
    return iperf(host, port, "-u", "-b", "20M", "-l", "1400", "-i", "0.1", *more)


def wait_listening(lab, server, num_tests):
    """iperf3 -s listens anew for each test, and refuses meanwhile."""
    lab.wait_for("iperf3", lambda: lab.log_of(server).count("Server listening") > num_tests or server.poll() is not None, 30)


def iperf_server_cases(lab, case):
    need("iperf3", "socat")
    server = lab.start_under("iperf3", "-s", "-p", str(PORTS["iperf"]), "--forceflush", log="iperf.log")
    relay = lab.relay_in(PORTS["iperf"], PORTS["relay"])
    for num, (name, more) in enumerate((("4 streams up", ("-P", "4")), ("4 streams down (-R)", ("-P", "4", "-R")))):
        def carried(more=more, num=num):
            wait_listening(lab, server, num)
            expect_carried(lab.run(*iperf("127.0.0.1", PORTS["relay"], *more)).text)
            lab.expect_rule("IPERF", direction="inbound")
        case(f"iperf3 -s under the stack: {name}", carried)
    case("iperf3 -s: nothing in clear", lambda: lab.expect_no_clear(PORTS["iperf"], b"x" * 37, b"\x09"))
    lab.stop(relay)
    lab.stop(server, signal.SIGKILL)

    def udp():
        server = lab.start_under("iperf3", "-s", "-p", str(PORTS["iperf_clear"]), "-i", "0.1", "--forceflush",
                                 *(("-B", STACK) if ON_KERNEL else ()), log="iperf-udp.log")
        wait_listening(lab, server, 0)
        expect_datagrams(lab.run(*iperf_udp(STACK, PORTS["iperf_clear"], "--get-server-output")).text)
        wait_listening(lab, server, 1)
        expect_datagrams(lab.run(*iperf_udp(STACK, PORTS["iperf_clear"], "-R")).text)
        wait_listening(lab, server, 2)
        # Not through a relay, which may swap the two connections, and iperf3 knows them by their order alone.
        expect_carried(lab.run(*iperf(STACK, PORTS["iperf_clear"], "--bidir")).text)
        lab.stop(server, signal.SIGKILL)
    case("iperf3 -s under the stack: UDP, 20 Mbit/s, both directions; TCP in clear, both ways at once", udp)


def iperf_client_cases(lab, case):
    need("iperf3", "socat")
    server = lab.start("iperf3", "-s", "-B", "127.0.0.1", "-p", str(PORTS["behind"]), "--forceflush", log="iperf-kernel.log")
    other = lab.start("iperf3", "-s", "-B", KERNEL, "-p", str(PORTS["out_clear"]), "-i", "0.1", "--forceflush",
                      log="iperf-kernel2.log")
    wait_listening(lab, other, 0)
    relay = lab.relay_out(PORTS["out"], PORTS["behind"])
    for num, (name, more) in enumerate((("4 streams up", ("-P", "4")), ("4 streams down (-R)", ("-P", "4", "-R")))):
        def carried(more=more, num=num):
            wait_listening(lab, server, num)
            expect_carried(lab.run_under(*iperf(KERNEL_NAME, PORTS["out"], *more)).text)
            lab.expect_rule("TO_IPERF", direction="outbound")
        case(f"iperf3 -c under the stack: {name}", carried)
    case("iperf3 -c under the stack: UDP, 20 Mbit/s",
         lambda: expect_datagrams(lab.run_under(*iperf_udp(KERNEL, PORTS["out_clear"], "--get-server-output")).text))
    for process in (relay, server, other):
        lab.stop(process)


# ---- netcat and socat that listen ----

def netcat_case(lab):
    need("nc.openbsd")
    server = lab.start("sh", "-c", 'exec "$@" > "$0"', lab.path("got-nc"),
                       *lab.under_stack("nc.openbsd", "-l", "0.0.0.0", str(PORTS["nc"])), log="nc.log")
    data = large(lab)
    # It takes one connection and ends: no probe before.
    sock = None
    def connected():
        nonlocal sock
        try:
            sock = lab.connect(PORTS["nc"])
        except ConnectionRefusedError:
            return server.poll() is not None
        return True
    lab.wait_for("nc", connected, 30)
    with sock:
        sock.sendall(data)
        server.stdin.write(b"said by nc\n")
        server.stdin.flush()
        expect(receive(sock, 11) == b"said by nc\n", "nc's own words differ")
        if not ON_KERNEL:
            sock.unwrap().close()
    expect(lab.ends(server) == 0, lab.log_of(server))
    lab.expect_same("www/large", "got-nc")
    lab.expect_rule("PIPES", direction="inbound")


def socat_cases(lab, case):
    need("socat")
    server = lab.start_under("socat", "-t", "10", f"TCP-LISTEN:{PORTS['socat']},fork,reuseaddr", "EXEC:sha256sum", log="socat.log")
    lab.wait_served(PORTS["socat"], server)
    data = large(lab)
    wanted = hashlib.sha256(data).hexdigest().encode()

    def digest(failed):
        """Half closed by the client, answered after that: kernel clients with OpenSSL can when they send their end first."""
        try:
            with lab.connect(PORTS["socat"]) as sock:
                sock.sendall(data)
                finish(sock)
                got = receive_all(sock)
                expect(got.startswith(wanted), f"the digest differs: {got[:100]}")
        except Exception as error:  # a thread's failure is told by the case
            failed.append(f"{type(error).__name__}: {error}")

    def at_once():
        failed = []
        threads = [threading.Thread(target=digest, args=(failed,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        expect(not failed and not any(thread.is_alive() for thread in threads), "\n".join(failed) or "a client hangs")
        lab.expect_rule("PIPES", direction="inbound")
    case("socat TCP-LISTEN,fork EXEC: 6 clients at once, 16 MB each, halves closed, equal", at_once)
    case("socat: nothing in clear", lambda: lab.expect_no_clear(PORTS["socat"], b"words\n", wanted[:8]))
    lab.ended_well(server, fine=(0, 143))

    def nofork():
        """The connection itself is the child's standard input and output, across exec."""
        server = lab.start_under("socat", f"TCP-LISTEN:{PORTS['nofork']},fork,reuseaddr", "EXEC:cat,nofork", log="nofork.log")
        lab.wait_served(PORTS["nofork"], server)
        with lab.connect(PORTS["nofork"]) as sock:
            for i in range(20):
                words = os.urandom(5000 * i + 1)
                sock.sendall(words)
                expect(receive(sock, len(words)) == words, "what came back differs")
        lab.ended_well(server, fine=(0, 143))
    case("socat EXEC:cat,nofork: a program that gets the connection by exec", nofork)


def finish(sock):
    """The end of what we send, while we still read."""
    if ON_KERNEL:
        sock.shutdown(socket.SHUT_WR)
        return
    sock.settimeout(0.0)
    end = time.monotonic() + 30
    is_sent = False
    while not is_sent and time.monotonic() < end:
        try:
            sock.unwrap()  # sends close_notify; the peer's comes later
            is_sent = True
        except ssl.SSLWantWriteError:  # what was sent before fills the kernel's buffer
            select.select([], [sock], [], 1)
        except OSError:
            is_sent = True
    sock.settimeout(30)


# ---- Python's servers ----

def python_cases(lab, case):
    threaded = lab.start_under("python3", lab.write("threaded.py", THREADED), str(PORTS["threaded"]), log="threaded.log")
    lab.wait_served(PORTS["threaded"], threaded)

    def lines():
        socks = [lab.connect(PORTS["threaded"]) for _ in range(12)]
        for round_ in range(20):
            for i, sock in enumerate(socks):
                sock.sendall(b"line %d of %d\n" % (round_, i) * 20)
            for i, sock in enumerate(socks):
                wanted = b"LINE %d OF %d\n" % (round_, i) * 20
                expect(receive(sock, len(wanted)) == wanted, "a line differs")
        for sock in socks:
            sock.close()
    case("python3 socketserver, a thread each: 12 clients in turn, 20 rounds", lines)
    lab.stop(threaded, signal.SIGKILL)

    aio = lab.start_under("python3", lab.write("aio.py", ASYNCIO), str(PORTS["aio"]), log="aio.log")
    lab.wait_served(PORTS["aio"], aio)

    def echo():
        data = large(lab)[:4 << 20]
        with lab.connect(PORTS["aio"], timeout=40) as sock:
            sender = threading.Thread(target=send_halting, args=(sock, data))
            sock.sendall(len(data).to_bytes(8, "big"))
            sender.start()
            got = receive(sock, len(data))
            sender.join()
        expect(got == data, "what came back differs")
    if ON_KERNEL:
        case("python3 asyncio server: 4 MB, both ways at once, equal", echo)
    else:
        case("python3 asyncio server: 4 MB through openssl s_client, both ways at once, equal", lambda: s_client_echo(lab))
    lab.stop(aio, signal.SIGKILL)

    udp = lab.start_under("python3", lab.write("udp.py", UDP), str(PORTS["udp"]), log="udp.log")
    lab.wait_for("it", lambda: "bound" in lab.log_of(udp) or udp.poll() is not None, 30)
    case("python3 UDP: datagrams of 1 to 8,000 bytes come back, each from the port that it was sent to", lambda: datagrams(lab))
    lab.stop(udp, signal.SIGKILL)


def send_halting(sock, data):
    for i in range(0, len(data), 100000):
        sock.sendall(data[i:i + 100000])


def s_client_echo(lab):
    """OpenSSL's own client reads and writes in one process, which Python's ssl in two threads must not."""
    data = large(lab)[:4 << 20]
    result = lab.run("openssl", "s_client", "-quiet", "-verify_quiet", "-connect", f"{STACK}:{PORTS['aio']}", "-CAfile", lab.ca,
                     "-servername", STACK_NAME, "-verify_return_error", "-ign_eof", input=len(data).to_bytes(8, "big") + data)
    expect(result.stdout == data, f"{len(result.stdout)} bytes came back, or others: {result.stdout[:300]!r}")


def datagrams(lab):
    with lab.inside():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sock:
        sock.settimeout(20)
        for length in (1, 2, 100, 1400, 1472, 1473, 3000, 8000):
            data = os.urandom(length)
            sock.sendto(data, (STACK, PORTS["udp"]))
            got, peer = sock.recvfrom(65536)
            expect(got == data[::-1], f"{length} bytes: {len(got)} came back, or others")
            expect(ON_KERNEL or peer == (STACK, PORTS["udp"]), f"from {peer}")


def cases(lab, case):
    lab.start_stack(POLICY)
    for part in (iperf_server_cases, iperf_client_cases, socat_cases, python_cases):
        try:
            part(lab, case)
        except Exception as error:  # said as a case; the other programs go on
            def again(error=error):
                raise error
            case(part.__name__, again)
    case("nc -l: 16 MB in, a line out, equal", lambda: netcat_case(lab))


if __name__ == "__main__":
    raise SystemExit(main("streams", cases))
