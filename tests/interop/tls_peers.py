#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our TLS sessions against OpenSSL and GnuTLS, over kernel sockets of the loopback: versions 1.2 and 1.3, both kinds of
key, with and without client certificates, 1 MB each way compared; session tickets; refused renegotiation; a
HelloRetryRequest; the choice of TLS 1.3 suites. Prints one line a case; exit status 0, 1, or 77 when neither peer is
installed.

Usage: tls_peers.py INTEROP_PEER [CASE…]"""
import contextlib
import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

PEER = sys.argv[1]
ONLY = sys.argv[2:]
MEGABYTE = 1 << 20
failures = []
num_cases = 0


class Failed(Exception):
    pass


def check(condition, text):
    if not condition:
        raise Failed(text)


def fields(line):
    """'a=b c=d text=…' as a dict; text is the rest of the line."""
    head, _, text = line.partition(" text=")
    parts = dict(part.split("=", 1) for part in head.split(" ") if "=" in part)
    parts["text"] = text.strip()
    return parts


class OurServer:
    """interop_peer as a server; `results` has one dict a finished connection."""

    def __init__(self, work, label, versions, auth, source, num, suites=()):
        self.out = work / "server.out"
        self.process = subprocess.Popen(
            [PEER, "server", work / "rings/server", label, versions, auth, "-", "0", source, self.out, str(num),
             *suites],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = self.process.stdout.readline().split()[1]

    def result(self):
        return fields(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def talk(command, data, want, timeout=40, stderr=subprocess.DEVNULL):
    """Runs a peer's program, writes `data` to it, reads `want` bytes, and ends it. Returns what it printed."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr)

    def write():
        try:
            process.stdin.write(data)
            process.stdin.flush()
        except (BrokenPipeError, ValueError, OSError):
            pass

    writer = threading.Thread(target=write, daemon=True)
    killer = threading.Timer(timeout, process.kill)
    writer.start()
    killer.start()
    got = b""
    while len(got) < want:
        part = process.stdout.read1(65536)
        if not part:
            break
        got += part
    writer.join(20)
    try:
        process.stdin.close()
    except OSError:
        pass
    # It ends by itself as soon as the server has closed; killed before that it would leave without a close_notify.
    rest_end = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < rest_end:
        time.sleep(0.01)
    process.kill()
    process.wait()
    killer.cancel()
    process.stdout.close()
    return got


def openssl_client(work, port, versions, cert, *more):
    command = ["openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{port}", "-servername", "server.test",
               "-CAfile", work / "rings/ca/ca.crt", "-verify_return_error", "-verify_hostname", "server.test",
               "-tls1_3" if versions == "13" else "-tls1_2", *more]
    if cert:
        command += ["-cert", work / "rings/client/me.crt", "-key", work / "rings/client/me.key"]
    return command


def gnutls_client(work, port, versions, cert, *more):
    command = ["gnutls-cli", "--logfile", "/dev/null", "--x509cafile", work / "rings/ca/ca.crt", "--sni-hostname",
               "server.test", "--verify-hostname", "server.test", "--priority",
               "NORMAL:-VERS-ALL:+VERS-TLS1." + versions[1], "-p", port, "127.0.0.1", *more]
    if cert:
        command += ["--x509certfile", work / "rings/client/me.crt", "--x509keyfile", work / "rings/client/me.key"]
    return command


def case_our_server(work, client, label, versions, auth):
    source = work / "data"
    with OurServer(work, label, versions, auth, "echo", MEGABYTE) as server:
        command = client(work, server.port, versions, auth == "required")
        got = talk(command, source.read_bytes(), MEGABYTE)
        result = server.result()
    # gnutls-cli answers a close_notify by closing the socket: then the end is no clean one, and ours says so.
    check(result["result"] == "OK" or (client is gnutls_client and result["result"] == "TLS_TRUNCATED"), f"our server: {result}")
    check(server.out.read_bytes() == source.read_bytes(), f"our server got {result['got']} bytes, not the 1 MB sent")
    check(got == source.read_bytes(), f"the client got {len(got)} bytes back, not the 1 MB it sent")
    check(result["version"] == "TLSv1." + versions[1], f"version {result['version']}")
    check(result["subject"] == ("CN=me" if auth == "required" else ""), f"subject {result['subject']}")


def wait_for_port(port, process):
    """Over IPv4, which our client uses: gnutls-serv has a socket for each family, one after the other."""
    end = time.monotonic() + 30
    while time.monotonic() < end and process.poll() is None:
        if f":{int(port):04X} 00000000:0000 0A" in pathlib.Path("/proc/net/tcp").read_text():
            return
        time.sleep(0.02)
    raise Failed("the peer's server does not listen")


def free_port():
    """One that the kernel gives nobody by itself: else a connection of another test could have it before the server has."""
    for _ in range(1000):
        port = random.randrange(20000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return str(port)
    raise Failed("no free port")


def openssl_server(work, port, label, versions, auth, *more):
    command = ["openssl", "s_server", "-quiet", "-accept", f"127.0.0.1:{port}", "-naccept", "1",
               "-cert", work / f"rings/server/{label}.crt", "-key", work / f"rings/server/{label}.key",
               "-tls1_3" if versions == "13" else "-tls1_2", *more]
    if auth == "required":
        command += ["-Verify", "3", "-verify_return_error", "-CAfile", work / "rings/ca/ca.crt"]
    return command


def gnutls_server(work, port, label, versions, auth):
    command = ["gnutls-serv", "--echo", "-q", "-p", port, "--x509certfile", work / f"rings/server/{label}.crt",
               "--x509keyfile", work / f"rings/server/{label}.key", "--priority",
               "NORMAL:-VERS-ALL:+VERS-TLS1." + versions[1]]
    if auth == "required":
        command += ["--require-client-cert", "--verify-client-cert", "--x509cafile", work / "rings/ca/ca.crt"]
    else:
        command += ["--disable-client-cert"]
    return command


def our_client(work, port, versions, auth, num, name="server.test", source="data", suites=()):
    out = work / "client.out"
    done = subprocess.run([PEER, "client", work / "rings/client", "me" if auth == "required" else "none", versions, "none",
                           name, port, work / source, out, str(num), *suites],
                          capture_output=True, text=True, timeout=40)
    return fields(done.stdout.splitlines()[-1] if done.stdout else "result=NOTHING"), out


def case_openssl_server(work, label, versions, auth, *more):
    port = free_port()
    other = (work / "data").read_bytes()[::-1]
    got = []
    process = subprocess.Popen(openssl_server(work, port, label, versions, auth, *more), stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port, process)
        reader = threading.Thread(target=lambda: got.append(process.stdout.read()), daemon=True)
        writer = threading.Thread(target=lambda: (process.stdin.write(other), process.stdin.flush()), daemon=True)
        reader.start()
        writer.start()
        result, out = our_client(work, port, versions, auth, MEGABYTE)
        reader.join(20)  # the server ends by itself, when it has written what it got
    finally:
        process.kill()
        process.wait()
    reader.join(5)
    check(result["result"] == "OK", f"our client: {result}")
    check(out.read_bytes() == other, f"our client got {result['got']} bytes, not the 1 MB that the server sent")
    check(got and got[0] == (work / "data").read_bytes(), f"the server got {len(got[0]) if got else 0} bytes")
    check(result["version"] == "TLSv1." + versions[1], f"version {result['version']}")
    check(result["subject"] == "CN=server.test", f"subject {result['subject']}")


def case_gnutls_server(work, label, versions, auth):
    port = free_port()
    process = subprocess.Popen(gnutls_server(work, port, label, versions, auth), stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port, process)
        result, out = our_client(work, port, versions, auth, MEGABYTE, source="lines")  # its echo is of text
    finally:
        process.kill()
        process.wait()
    check(result["result"] == "OK", f"our client: {result}")
    check(out.read_bytes() == (work / "lines").read_bytes(), f"got {result['got']} bytes back, not the 1 MB sent")
    check(result["version"] == "TLSv1." + versions[1], f"version {result['version']}")


def case_hello_retry(work):
    case_openssl_server(work, "p256", "13", "none", "-groups", "P-384")


def resume(work, port, versions, *more):
    talk(openssl_client(work, port, versions, False, *more), b"x", 1)


def case_tickets(work, versions):
    """A ticket resumes at its own environment, and nowhere else."""
    session = work / f"session{versions}"
    with OurServer(work, "p256", versions, "none", "echo", 1) as server, \
            OurServer(work, "p256", versions, "passthru", "echo", 1) as other:
        resume(work, server.port, versions, "-sess_out", session)
        first = server.result()
        check(first["result"] == "OK" and first["resumed"] == "0", f"first: {first}")
        check(session.exists(), "the client was given no ticket")
        resume(work, server.port, versions, "-sess_in", session)
        second = server.result()
        check(second["result"] == "OK" and second["resumed"] == "1", f"second: {second}")
        resume(work, other.port, versions, "-sess_in", session)
        third = other.result()
        check(third["result"] == "OK" and third["resumed"] == "0", f"another environment: {third}")


def case_renegotiation(work):
    """OpenSSL's client asks for a new handshake in TLS 1.2 (a line with R); ours ends the connection."""
    with OurServer(work, "p256", "12", "none", "echo", MEGABYTE) as server:
        command = [c for c in openssl_client(work, server.port, "12", False) if c != "-quiet"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.5)
        process.stdin.write(b"R\n")
        process.stdin.flush()
        result = server.result()
        process.kill()
        process.wait()
    check(result["result"] == "TLS_RENEGOTIATION", f"{result}")


def case_version(work):
    with OurServer(work, "p256", "13", "none", "echo", 1) as server:
        talk(openssl_client(work, server.port, "12", False), b"x", 1)
        result = server.result()
    check(result["result"] == "TLS_NO_COMMON_VERSION", f"{result}")
    check("TLSv1.2" in result["text"] and "configured here: TLSv1.3" in result["text"], result["text"])


def answered(work, client, suites, *more):
    """What our server with `suites` and both versions says of a client that may choose its version."""
    with OurServer(work, "p256", "both", "none", "echo", 1, suites) as server:
        command = client(work, server.port, "13", False, *more)
        talk([c for c in command if c != "-tls1_3"], b"x", 1)
        return server.result()


def case_server_suites(work, client):
    """TLS 1.3's suites are the server's, and in its order, whatever the client's; ours has one of TLS 1.2 besides."""
    for suites, cipher in ((["1303"], "TLS_CHACHA20_POLY1305_SHA256"), (["1301"], "TLS_AES_128_GCM_SHA256"),
                           (["1303", "1301", "1302"], "TLS_CHACHA20_POLY1305_SHA256"),
                           (["1301", "1302"], "TLS_AES_128_GCM_SHA256"), (["1302", "1301"], "TLS_AES_256_GCM_SHA384")):
        result = answered(work, client, [*suites, "c02b"])
        got = {key: result[key] for key in ("result", "version", "cipher")}
        check(got["cipher"] == cipher and got["version"] == "TLSv1.3", f"{suites}: {got}")
        check(got["result"] == "OK" or client is gnutls_client and got["result"] == "TLS_TRUNCATED", f"{suites}: {got}")


def case_disjoint_suites(work):
    result = answered(work, openssl_client, ["1301", "c02b"], "-ciphersuites", "TLS_AES_256_GCM_SHA384")
    check(result["result"] == "TLS_NO_COMMON_CIPHER", f"{result}")
    check("the peer offers TLS_AES_256_GCM_SHA384," in result["text"], result["text"])
    check("configured here: TLS_AES_128_GCM_SHA256," in result["text"], result["text"])


def case_client_suites(work, *more):
    """OpenSSL's server takes what ours offers first, also after a HelloRetryRequest."""
    for suites, cipher in ((["1303"], "TLS_CHACHA20_POLY1305_SHA256"), (["1302"], "TLS_AES_256_GCM_SHA384"),
                           (["1303", "1302"], "TLS_CHACHA20_POLY1305_SHA256"),
                           (["1301", "1302", "1303"], "TLS_AES_128_GCM_SHA256")):
        port = free_port()
        process = subprocess.Popen(openssl_server(work, port, "p256", "13", "none", *more), stdin=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for_port(port, process)
            process.stdin.write(b"x")
            process.stdin.flush()
            result, _ = our_client(work, port, "13", "none", 1, source="byte", suites=suites)
        finally:
            process.kill()
            process.wait()
        check(result["result"] == "OK" and result["cipher"] == cipher, f"{suites}: {result}")


def with_priority(command, more):
    """A GnuTLS command whose priority string lacks something."""
    return [word + more if isinstance(word, str) and word.startswith("NORMAL:") else word for word in command]


def case_demands_of_client(work, wants, lacks, text):
    """A client of TLS 1.2 without an extension is refused by a server that wants it, and by it alone."""
    for wanted, result in (("", "OK"), (wants, "TLS_WEAK")):
        os.environ["PEL_PEER_WANTS"] = wanted
        with OurServer(work, "p256", "12", "none", "echo", 1) as server:
            got = talk(with_priority(gnutls_client(work, server.port, "12", False), lacks), b"x\n", 1)
            said = server.result()
        check(said["result"] == result or (not wanted and said["result"] == "TLS_TRUNCATED"), f"{wanted}: {said}")
        check(not wanted or text in said["text"] and got == b"", f"{wanted}: {said}, got {got}")
    os.environ["PEL_PEER_WANTS"] = ""


def case_demands_of_server(work, wants, lacks, text):
    """The same of a server, by a client."""
    for wanted, result in (("", "OK"), (wants, "TLS_WEAK")):
        os.environ["PEL_PEER_WANTS"] = wanted
        port = free_port()
        process = subprocess.Popen(with_priority(gnutls_server(work, port, "p256", "12", "none"), lacks),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for_port(port, process)
            said, _ = our_client(work, port, "12", "none", MEGABYTE, source="lines")
        finally:
            process.kill()
            process.wait()
        check(said["result"] == result, f"{wanted}: {said}")
        check(not wanted or text in said["text"], f"{wanted}: {said}")
    os.environ["PEL_PEER_WANTS"] = ""


def case_name(work):
    port = free_port()
    process = subprocess.Popen(openssl_server(work, port, "p256", "13", "none"), stdin=subprocess.PIPE,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port, process)
        result, _ = our_client(work, port, "13", "none", 1, "elsewhere.test")
    finally:
        process.kill()
        process.wait()
    check(result["result"] == "TLS_CERT_NAME", f"{result}")


def run(work, name, function, *args):
    global num_cases
    if ONLY and not any(word in name for word in ONLY):
        return
    num_cases += 1
    start = time.time()
    try:
        function(work, *args)
        print(f"ok    {name} ({time.time() - start:.2f} s)", flush=True)
    except (Failed, OSError, IndexError, KeyError, subprocess.TimeoutExpired) as error:
        failures.append(name)
        print(f"FAIL  {name}: {type(error).__name__}: {error}", flush=True)


def main():
    openssl = shutil.which("openssl") is not None
    gnutls = shutil.which("gnutls-cli") is not None and shutil.which("gnutls-serv") is not None
    if not openssl and not gnutls:
        print("neither openssl nor gnutls-cli and gnutls-serv are installed")
        return 77
    with tempfile.TemporaryDirectory(prefix="pel-interop-") as folder:
        work = pathlib.Path(folder)
        subprocess.run([PEER, "rings", work / "rings"], check=True)
        (work / "data").write_bytes(os.urandom(MEGABYTE // 4) + b"\nQ\nR\nq\n" + os.urandom(3 * MEGABYTE // 4 - 7))
        (work / "byte").write_bytes(b"x")
        (work / "lines").write_bytes(b"".join(b"%015x\n" % line for line in range(MEGABYTE // 16)))
        for versions in ("12", "13"):
            for label in ("p256", "rsa"):
                for auth in ("none", "required"):
                    name = f"1.{versions[1]}-{label}-{'cert' if auth == 'required' else 'nocert'}"
                    if openssl:
                        run(work, f"openssl-client-{name}", case_our_server, openssl_client, label, versions, auth)
                        run(work, f"openssl-server-{name}", case_openssl_server, label, versions, auth)
                    if gnutls:
                        run(work, f"gnutls-client-{name}", case_our_server, gnutls_client, label, versions, auth)
                        run(work, f"gnutls-server-{name}", case_gnutls_server, label, versions, auth)
        if openssl:
            run(work, "tickets-1.2", case_tickets, "12")
            run(work, "tickets-1.3", case_tickets, "13")
            run(work, "renegotiation", case_renegotiation)
            run(work, "no-common-version", case_version)
            run(work, "wrong-name", case_name)
            run(work, "hello-retry-request", case_hello_retry)
            run(work, "suites-openssl-client", case_server_suites, openssl_client)
            run(work, "suites-openssl-server", case_client_suites)
            run(work, "suites-openssl-server-retry", case_client_suites, "-groups", "P-384")
            run(work, "suites-nothing-in-common", case_disjoint_suites)
        if gnutls:
            run(work, "suites-gnutls-client", case_server_suites, gnutls_client)
            secret = ("ems", ":%NO_SESSION_HASH", "no extended master secret (RFC 7627)")
            indication = ("reneg", ":%DISABLE_SAFE_RENEGOTIATION", "no sign of secure renegotiation (RFC 5746)")
            for name, demand in (("extended-master-secret", secret), ("renegotiation-indication", indication)):
                run(work, f"{name}-gnutls-client", case_demands_of_client, *demand)
                run(work, f"{name}-gnutls-server", case_demands_of_server, *demand)
    print(f"{num_cases} cases, {len(failures)} failed")
    return 1 if failures or num_cases == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
