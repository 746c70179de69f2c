#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our server, httpd on a tap port, and real clients: openssl s_client, gnutls-cli, curl, ab."""
import os
import re
import subprocess
import sys
import time

from lab import GROUP, advanced, expect, inbound, main, suites

HTTP_GET = b"GET /hello HTTP/1.1\r\nHost: www.test\r\nConnection: close\r\n\r\n"
POLICY = GROUP + "".join((
    inbound("ECDSA", 443, "web"),
    inbound("RSA", 444, "webrsa"),
    inbound("MUTUAL", 445, "web", role="ServerWithClientAuth", more=advanced("ClientAuthType Required")),
    inbound("ONLY12", 446, "web", more=advanced("TLSv1.3 Off") + suites("C02C")),
    inbound("ONLY13", 447, "web", more=advanced("TLSv1.2 Off")),
    inbound("EXPIRED", 448, "expired"),
    inbound("NORING", 449, "nosuchring"),
    inbound("CURRENT", 451, "web", role="ServerWithClientAuth", more=advanced("ClientAuthType Required", "PeerMinCertVersion 3")),
    inbound("HASTY", 450, "web", more=advanced("HandshakeTimeout 1")),
))
SANITIZED = "asan" in os.path.basename(os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else ""))
LISTEN = ["[::]:443", "[::]:444", "[::]:445", "[::]:446", "[::]:447", "[::]:448", "[::]:449", "[::]:450", "[::]:451",
          "[::]:8080"]

# Echo requests by the kernel's raw sockets, both families; an answer for each, or a timeout.
PING = """
import socket, struct
def checksum(data):
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff
for family, protocol, address, request, reply in ((socket.AF_INET, socket.IPPROTO_ICMP, '10.77.0.2', 8, 0),
                                                  (socket.AF_INET6, socket.IPPROTO_ICMPV6, 'fd77::2', 128, 129)):
    raw = socket.socket(family, socket.SOCK_RAW, protocol)
    raw.settimeout(20)
    packet = struct.pack('!BBHHH', request, 0, 0, 77, 1) + b'x' * 56
    if request == 8:
        packet = packet[:2] + struct.pack('!H', checksum(packet)) + packet[4:]
    raw.sendto(packet, (address, 0))
    while True:
        answer = raw.recv(2000)
        answer = answer[20:] if family == socket.AF_INET else answer
        if answer[0] == reply:
            print(address, 'answers')
            break
"""


def prepare(lab):
    os.makedirs(lab.path("www"))
    os.makedirs(lab.path("up"))
    lab.write("www/hello", "hello from a plaintext server\n")
    with open(lab.path("www/mega"), "wb") as out:
        out.write(os.urandom(1 << 20))
    lab.make_ca("ca")
    lab.make_ca("otherca")
    names = ("--dns", "www.test", "--ip", "10.77.0.2", "--ip", "fd77::2")
    lab.make_cert("web", "ca", *names)
    lab.make_cert("webrsa", "ca", "--key", "rsa2048", *names)
    lab.make_cert("expired", "ca", "--days", "-1", *names)
    lab.make_cert("client", "ca", "--client")
    lab.make_cert("stranger", "otherca", "--client")
    make_version_1(lab, "version1")


def make_version_1(lab, ring):
    """A client's certificate as they were made before 1996: without extensions."""
    lab.make_cert(ring, "ca", "--client")
    files, ca = lab.ring(ring) + "/mine", lab.ring("ca") + "/ca"
    lab.run("openssl", "req", "-new", "-key", files + ".key", "-subj", "/CN=" + ring, "-out", lab.path("request"))
    lab.run("openssl", "x509", "-req", "-in", lab.path("request"), "-CA", ca + ".crt", "-CAkey", ca + ".key", "-set_serial", "1",
            "-days", "9", "-out", files + ".crt")
    expect("Version: 1 " in lab.run("openssl", "x509", "-noout", "-text", "-in", files + ".crt").text, "it is of another version")


def ca_file(lab):
    return lab.ring("ca") + "/ca.crt"


def s_client(lab, port, *more, request=HTTP_GET, address="10.77.0.2"):
    return lab.run("openssl", "s_client", "-connect", f"{address}:{port}", "-CAfile", ca_file(lab), "-servername", "www.test",
                   "-verify_return_error", "-ign_eof", *more, input=request, check=False, timeout=20)


def gnutls_cli(lab, port, *more, address="10.77.0.2"):
    return lab.run("gnutls-cli", "--x509cafile", ca_file(lab), "--sni-hostname", "www.test", "--verify-hostname", "www.test",
                   "-p", str(port), *more, address, input=HTTP_GET, check=False, timeout=20)


def expect_hello(result):
    expect("hello from a plaintext server" in result.text, f"no answer:\n{result.text[-1500:]}")


def openssl_cases(lab, case):
    for flag, version in (("-tls1_3", "TLSv1.3"), ("-tls1_2", "TLSv1.2")):
        for port, kind in ((443, "ECDSA"), (444, "RSA")):
            def run(flag=flag, version=version, port=port):
                result = s_client(lab, port, flag)
                expect_hello(result)
                expect(f"New, {version}" in result.text or f"Protocol  : {version}" in result.text, result.text[-800:])
            case(f"openssl s_client, {version}, {kind} certificate", run)

    def ipv6():
        expect_hello(s_client(lab, 443, address="[fd77::2]"))
    case("openssl s_client over IPv6", ipv6)

    for name in ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"):
        def suite13(name=name):
            result = s_client(lab, 443, "-ciphersuites", name)
            expect_hello(result)
            expect(f"Cipher is {name}" in result.text, result.text[-800:])
        case(f"openssl s_client, {name}", suite13)

    def split_hello():
        # A ClientHello of several records and segments: a large list of groups and ALPN names, in 512-byte fragments.
        alpn = ",".join(f"protocol-{i:04d}-with-a-long-name" for i in range(400))
        expect_hello(s_client(lab, 443, "-max_send_frag", "512", "-alpn", alpn))
    case("openssl s_client, a ClientHello of 12 kB in fragments of 512 bytes", split_hello)


def gnutls_cases(lab, case):
    for priority, version in (("NORMAL:-VERS-ALL:+VERS-TLS1.3", "TLS1.3"), ("NORMAL:-VERS-ALL:+VERS-TLS1.2", "TLS1.2")):
        for port, kind in ((443, "ECDSA"), (444, "RSA")):
            def run(priority=priority, version=version, port=port):
                result = gnutls_cli(lab, port, "--priority", priority)
                expect_hello(result)
                expect(f"({version}" in result.text, result.text[-800:])
            case(f"gnutls-cli, {version}, {kind} certificate", run)


def client_certificate_cases(lab, case):
    def with_certificate(ring):
        return ("-cert", lab.ring(ring) + "/mine.crt", "-key", lab.ring(ring) + "/mine.key")

    def accepted(flag):
        def seen():
            reply = lab.control("conns", "httpd", "--recent")
            return {conn["id"]: conn for conn in reply["connections"] + reply["recent"]}
        before = seen()
        expect_hello(s_client(lab, 445, flag, *with_certificate("client")))
        # It may not have ended for the server, where it has for the client.
        new = [conn for number, conn in seen().items() if number not in before]
        expect(len(new) == 1 and new[0]["local"].endswith(":445"), f"pel conns shows new: {new}")
        expect("CN=client" in new[0]["peer_subject"], f"pel conns shows {new[0]['peer_subject']!r}")

    def missing(flag):
        before = lab.stat("TLS_NO_CLIENT_CERT")
        result = s_client(lab, 445, flag)
        expect("hello" not in result.text.split("BEGIN CERT")[0][:50] and "plaintext server" not in result.text, "it was served")
        expect(lab.stat("TLS_NO_CLIENT_CERT") == before + 1, "TLS_NO_CLIENT_CERT was not counted")

    def untrusted(flag):
        before = lab.stat("TLS_CERT_UNTRUSTED")
        result = s_client(lab, 445, flag, *with_certificate("stranger"))
        expect("plaintext server" not in result.text, "it was served")
        expect(lab.stat("TLS_CERT_UNTRUSTED") == before + 1, "TLS_CERT_UNTRUSTED was not counted")

    def version_1(flag):
        expect_hello(s_client(lab, 445, flag, *with_certificate("version1")))
        expect_hello(s_client(lab, 451, flag, *with_certificate("client")))
        before = lab.stat("TLS_CERT_BAD")
        result = s_client(lab, 451, flag, *with_certificate("version1"))
        expect("plaintext server" not in result.text, "it was served")
        expect(lab.stat("TLS_CERT_BAD") == before + 1, "TLS_CERT_BAD was not counted")
        expect("is of X.509 version 1; 3 is wanted (PeerMinCertVersion)" in lab.pel("conns", "--json", "--recent", "--socket",
                                                                                    lab.path("httpd.sock")).text, "the reason")

    for flag in ("-tls1_3", "-tls1_2"):
        case(f"client certificate of X.509 version 1 where 3 is wanted, {flag[1:]}", lambda flag=flag: version_1(flag))
        case(f"client certificate that is demanded, {flag[1:]}", lambda flag=flag: accepted(flag))
        case(f"no client certificate where one is demanded, {flag[1:]}", lambda flag=flag: missing(flag))
        case(f"client certificate of a stranger, {flag[1:]}", lambda flag=flag: untrusted(flag))


def refusal_cases(lab, case):
    def refused(counter, *arguments, request=HTTP_GET):
        def run():
            before = lab.stat(counter)
            result = s_client(lab, *arguments, request=request)
            expect("plaintext server" not in result.text, "it was served")
            expect(lab.stat(counter) > before, f"{counter} was not counted")
        return run

    case("TLS 1.1 is not spoken", refused("TLS_NO_COMMON_VERSION", 443, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"))
    case("TLS 1.3 to a rule for TLS 1.2 alone", refused("TLS_NO_COMMON_VERSION", 446, "-tls1_3"))
    case("TLS 1.2 to a rule for TLS 1.3 alone", refused("TLS_NO_COMMON_VERSION", 447, "-tls1_2"))
    case("no suite in common", refused("TLS_NO_COMMON_CIPHER", 446, "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"))
    case("a rule with an expired certificate refuses", refused("POLICY_UNUSABLE", 448))
    case("a rule without a keyring refuses", refused("POLICY_UNUSABLE", 449))

    def clear_text():
        before = lab.stat("TLS_CLEARTEXT_RECEIVED")
        result = lab.run("curl", "-s", "http://10.77.0.2:443/hello", check=False)
        expect(result.returncode != 0 and "hello" not in result.text, f"it was served: {result.text}")
        expect(lab.stat("TLS_CLEARTEXT_RECEIVED") == before + 1, "TLS_CLEARTEXT_RECEIVED was not counted")
    case("clear text on a TLS port is refused", clear_text)

    def tls_on_clear():
        result = lab.run("curl", "-sk", "https://10.77.0.2:8080/hello", check=False)
        expect(result.returncode == 35, f"curl: exit status {result.returncode}")
    case("TLS on a clear port is an error at the client, not a hang", tls_on_clear)

    def silent():
        before = lab.stat("TLS_HANDSHAKE_START_TIMEOUT")
        begin = time.monotonic()
        lab.run("python3", "-c", "import socket; s = socket.create_connection(('10.77.0.2', 450)); s.recv(1)", check=False)
        expect(time.monotonic() - begin < 9, "the silent client was kept")  # without a HandshakeTimeout it would be 10 s
        expect(lab.stat("TLS_HANDSHAKE_START_TIMEOUT") == before + 1, "the timeout was not counted")
    case("a silent client meets the handshake timeout", silent)

    def clear_port():
        result = lab.run("curl", "-sS", "http://10.77.0.2:8080/hello")
        expect_hello(result)
        ports = {row["port"]: row["count"] for row in lab.control("stats")["no_rule"]}
        expect(ports.get(8080, 0) >= 1, f"no_rule shows {ports}")
    case("a port without a rule is served in clear and counted", clear_port)


def resumption_cases(lab, case):
    for flag in ("-tls1_3", "-tls1_2"):
        def run(flag=flag):
            session = lab.path("session")
            before = lab.stat("tls_resumed")
            expect_hello(s_client(lab, 443, flag, "-sess_out", session))
            result = s_client(lab, 443, flag, "-sess_in", session)
            expect_hello(result)
            expect("Reused" in result.text, "the session was not resumed")
            expect(lab.stat("tls_resumed") == before + 1, "tls_resumed was not counted")
        case(f"a session is resumed, {flag[1:]}", run)

        def other_rule(flag=flag):
            session = lab.path("session")
            expect_hello(s_client(lab, 443, flag, "-sess_out", session))
            result = s_client(lab, 444, flag, "-sess_in", session)
            expect("Reused" not in result.text, "a ticket of one rule resumed at another")
            result = s_client(lab, 445, flag, "-sess_in", session)
            expect("plaintext server" not in result.text, "a ticket got round the client certificate")
        case(f"a ticket of one rule is nothing to another, {flag[1:]}", other_rule)


def echo_case(lab):
    result = lab.run("python3", "-c", PING)
    expect("10.77.0.2 answers" in result.text and "fd77::2 answers" in result.text, result.text)
    expect(lab.stat("icmp_echo_in") == 2, "icmp_echo_in was not counted")


def transfer_cases(lab, case):
    def curl(*arguments):
        return lab.run("curl", "-sS", "--cacert", ca_file(lab), "--resolve", "www.test:443:10.77.0.2", *arguments)

    def both_ways(version):
        curl("--tls-max", version, "-o", lab.path("down"), "https://www.test/mega")
        curl("--tls-max", version, "-T", lab.path("down"), "https://www.test/up")
        for path in ("down", "up/up"):
            same = subprocess.run(["cmp", lab.path("www/mega"), lab.path(path)], capture_output=True).returncode == 0
            expect(same, f"{path} differs")
    case("curl, TLS 1.3: 1 MB down and up, equal", lambda: both_ways("1.3"))
    case("curl, TLS 1.2: 1 MB down and up, equal", lambda: both_ways("1.2"))

    def requests():
        result = curl("-r", "10-19", "https://www.test/mega", "-o", lab.path("part"), "-w", "%{http_code}")
        expect(result.text == "206" and os.path.getsize(lab.path("part")) == 10, result.text)
        result = curl("-I", "https://www.test/hello")
        expect("200" in result.text and "plaintext" not in result.text, result.text)
        result = curl("https://www.test/hello", "https://www.test/hello", "https://www.test/nothing", "-w", "%{num_connects} ")
        expect(result.text.count("plaintext server") == 2 and "404" in result.text, result.text)
        words = result.text.split()
        expect(words.count("1") == 1 and words.count("0") == 2, f"no keep-alive: {result.text}")
    case("curl: ranges, HEAD, keep-alive, a missing file", requests)


def policy_cases(lab, case, httpd):
    def load(*arguments):
        return lab.pel("policy", "load", "--socket", lab.path("httpd.sock"), *arguments, check=False)

    def bad():
        path = lab.write("bad.policy", "TTLSRule X\n{\n  Drection Inbound\n}\n")
        result = load(path)
        expect(result.returncode == 1 and "bad.policy:3:3: " in result.text and "Direction" in result.text, result.text)
        expect_hello(s_client(lab, 443))
    case("pel policy load of a policy with errors: exit 1, the old one stays", bad)

    def clear_and_back():
        path = lab.write("clear.policy", "# nothing\n")
        result = load(path)
        expect(result.returncode == 1 and "no rule is left" in result.text, result.text)
        lab.write("clear.policy", "TTLSRule CLEAR\n{\n  LocalPortRange 443\n  Direction Inbound\n  TTLSGroupAction\n  {\n"
                  "    TTLSEnabled Off\n  }\n}\n")
        expect(load(path).returncode == 0, "not loaded")
        expect_hello(lab.run("curl", "-sS", "http://10.77.0.2:443/hello"))
        generation = lab.control("stats")["generation"]
        httpd.send_signal(1)
        lab.wait_for("the reload", lambda: lab.control("stats")["generation"] == generation + 1, 30)
        expect_hello(s_client(lab, 443))
    case("pel policy load, then SIGHUP back to the configured policy", clear_and_back)

    def under_load():
        command = ["ab", "-q", "-n", "1500", "-c", "20", "-f", "TLS1.3", "https://10.77.0.2:443/hello"]
        num_loads = 0
        for _ in range(20):  # which of the two is the faster nobody knows: requests for as long as the loads take
            client = lab.start(*command, log="ab.log")
            while client.poll() is None:
                expect(load(lab.path("httpd.policy")).returncode == 0, "not loaded")
                num_loads += client.poll() is None
            text = lab.log_of(client)
            lab.stop(client)
            expect(re.search(r"Failed requests:\s+0\n", text) and "Complete requests:      1500" in text, text)
            if num_loads >= 5:
                break
        expect(num_loads >= 5, f"only {num_loads} loads")
    case("the policy is swapped again and again under load: no request fails", under_load)


def memory_kb(pid):
    with open(f"/proc/{pid}/status") as text:
        return int(re.search(r"VmRSS:\s+(\d+)", text.read()).group(1))


def many_connections(lab, httpd):
    def ab(number):
        result = lab.run("ab", "-q", "-n", str(number), "-c", "50", "-f", "TLS1.3", "https://10.77.0.2:443/hello", timeout=300)
        expect(re.search(r"Failed requests:\s+0\n", result.text), result.text)
    def all_back():
        stats = lab.control("stats")
        return stats["connections"] == 0 and stats["time_wait"] == 0 and stats["port"]["packets_in_use"] == 0
    # The first ten thousand bring the heap to its high-water mark, or nearly so: on a busy machine more of them meet at once
    # later. Within four times it must have stopped to grow; what leaks 100 bytes a connection never does.
    sizes_kb, grown_kb = [], None
    while len(sizes_kb) < (1 if SANITIZED else 4) and (grown_kb is None or grown_kb >= 1024):
        ab(10000)
        lab.wait_for("connections, TIME-WAIT and packets to be gone", all_back, 90)
        sizes_kb.append(memory_kb(httpd.pid))
        grown_kb = sizes_kb[-1] - sizes_kb[-2] if len(sizes_kb) > 1 else None
    if not SANITIZED:  # a sanitizer keeps freed memory for a while
        expect(grown_kb < 1024, f"10,000 connections left {grown_kb} kB behind, again and again: {sizes_kb}")
    print(f"# memory, each after 10,000 connections: {sizes_kb} kB", flush=True)


def cases(lab, reporter):
    prepare(lab)
    httpd = lab.start_httpd(lab.config("httpd", POLICY), *LISTEN)
    lab.address_tap()
    reporter.case("the kernel's echo requests are answered, both families", lambda: echo_case(lab))
    openssl_cases(lab, reporter.case)
    gnutls_cases(lab, reporter.case)
    client_certificate_cases(lab, reporter.case)
    refusal_cases(lab, reporter.case)
    resumption_cases(lab, reporter.case)
    transfer_cases(lab, reporter.case)
    policy_cases(lab, reporter.case, httpd)
    reporter.case("10,000 connections through the tap leave nothing behind", lambda: many_connections(lab, httpd))

    def clean_stop():
        status = lab.stop(httpd)
        expect(status == 0, f"exit status {status}\n{lab.log_of(httpd)[-3000:]}")
    reporter.case("SIGTERM ends it with status 0", clean_stop)


if __name__ == "__main__":
    sys.exit(main("servers", cases))
