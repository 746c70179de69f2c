#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs that control TLS by SIOCTTLSCTL: a mail server in C without a TLS library that real clients reach by STARTTLS (openssl,
curl, Python's smtplib), a Python program that does not wait, and one that connects; queries, refusals, and the way back to
clear text."""
import os
import signal
import smtplib
import ssl

from programs_lab import GROUP, KERNEL_NAME, ON_KERNEL, STACK, STACK_NAME, Skip, advanced, expect, inbound, main, outbound, receive
from puppet import Puppet

PORT, HASTY, NOT_ASKED, KNOWN, OUT = 587, 588, 465, 466, 2587
FTP, DATA = 2121, 40021

ASKED = advanced("ApplicationControlled On", "HandshakeTimeout 60")
POLICY = GROUP + "".join((
    inbound("MAIL", PORT, "root/web", more=ASKED, priority=9),
    # For clients that do not begin: whoever does may be slow.
    inbound("HASTY", HASTY, "root/web", more=advanced("ApplicationControlled On", "HandshakeTimeout 3"), priority=9),
    inbound("MAILS", NOT_ASKED, "root/web", priority=9),
    inbound("KNOWN", KNOWN, "root/web", role="ServerWithClientAuth", more=advanced("ClientAuthType SAFCheck"), priority=9),
    inbound("FTP", FTP, "root/web", more=advanced("ApplicationControlled On", "SecondaryMap On"), priority=9),
    outbound("TO_MAIL", OUT, "root/trusting", more=ASKED),
))

# The structure of pellucid/ttls.h, for Python's own ioctl.
TTLS = """
import fcntl, struct
def ask(sock, request, version=1):
    ttls = bytearray(struct.pack('<BBBBIBB2s4s4sBB2x16sQII', version, 0, 0, 0, request, 0, 0, b'', b'', b'', 0, 0, b'', 0, 0, 0))
    fcntl.ioctl(sock.fileno(), 0xC038D90B, ttls)
    return ttls
def cert(sock, length=4096, request=0):
    import ctypes
    buffer = ctypes.create_string_buffer(length)
    ttls = bytearray(struct.pack('<BBBBIBB2s4s4sBB2x16sQII', 1, 0, 0, 0, request | 1, 0, 0, b'', b'', b'', 0, 0, b'', ctypes.addressof(buffer), length, 0))
    fcntl.ioctl(sock.fileno(), 0xC038D90B, ttls)
    return buffer.raw[:struct.unpack('<I', ttls[52:])[0]]
def stat(sock):
    return ask(sock, 0)[2]
"""
INIT, STOP, ALLOW = 2, 64, 128


def context_of(lab):
    return ssl.create_default_context(cafile=lab.ca)


class Talk:
    """A kernel client, line by line."""

    def __init__(self, lab, port=PORT):
        self.lab = lab
        self.sock = lab.raw_connect(port)
        self.file = self.sock.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.sock.close()

    def ask(self, line, wanted):
        self.sock.sendall(line.encode() + b"\r\n" if line else b"")
        got = self.file.readline().decode()
        expect(got.startswith(wanted), f"{line!r}: {got!r}, wanted {wanted!r}")
        return got

    def secure(self):
        self.file.close()
        self.sock = context_of(self.lab).wrap_socket(self.sock, server_hostname=STACK_NAME, suppress_ragged_eofs=False)
        self.file = self.sock.makefile("rb")

    def clear(self):
        self.file.close()
        self.sock = self.sock.unwrap()
        self.file = self.sock.makefile("rb")


# ---- the mail server ----

def start_mail(lab, port):
    return lab.start_under(os.path.join(lab.build, "tests", "programs", "starttls"), str(port), log=f"mail-{port}.log")


def mail_cases(lab, case):
    server = start_mail(lab, PORT)
    case("the mail server starts, and speaks in clear", lambda: lab.wait_served(PORT, server, tls=False))

    def openssl():
        result = lab.run("openssl", "s_client", "-starttls", "smtp", "-connect", f"{STACK}:{PORT}", "-CAfile", lab.ca, "-verify_hostname",
                         STACK_NAME, "-verify_return_error", "-quiet", "-crlf", input=b"INFO\nQUIT\n", check=False)
        expect("211 error 0 policy 5 conn 3 type 2 version 3.4" in result.text and "221 bye" in result.text, result.text)
        lab.expect_rule("MAIL", direction="inbound")
    case("openssl s_client -starttls smtp; the server knows what it has", openssl)

    def curl():
        with open(lab.path("mail"), "wb") as out:
            out.write(b"Subject: large\r\n\r\n" + b"0123456789\r\n" * 20000)
        result = lab.run("curl", "-sS", "--ssl-reqd", "--cacert", lab.ca, f"smtp://{STACK_NAME}:{PORT}", "--mail-from", "me@example",
                         "--mail-rcpt", "you@example", "-T", lab.path("mail"), check=False)
        expect(result.returncode == 0, result.text)
        expect("mail: 200014 bytes" in lab.log_of(server), lab.log_of(server)[-500:])
    case("curl sends a mail of 240 kB, STARTTLS required", curl)

    def library():
        with lab.inside():
            client = smtplib.SMTP(STACK, PORT, timeout=20)
        client._host = STACK_NAME
        client.starttls(context=context_of(lab))
        client.sendmail("me@example", ["you@example"], "Subject: x\r\n\r\nhello\r\n")
        client.quit()
    case("Python's smtplib sends a mail after starttls()", library)

    def many():
        talks = [Talk(lab) for _ in range(30)]
        for talk in talks:
            talk.ask("", "220 mail")
            talk.ask("STARTTLS", "220 go")
        for talk in talks:
            talk.secure()
            talk.ask("INFO", "211 error 0 policy 5 conn 3")
        for talk in talks:
            talk.ask("QUIT", "221")
            talk.__exit__()
    case("30 connections, a process each", many)

    def clear_again():
        with Talk(lab) as talk:
            talk.ask("", "220 mail")
            for _ in range(3):
                talk.ask("INFO", "211 error 0 policy 5 conn 1")
                talk.ask("STARTTLS", "220 go")
                talk.secure()
                talk.ask("INFO", "211 error 0 policy 5 conn 3")
                talk.ask("CCC", "200")
                talk.clear()
            talk.ask("QUIT", "221")
    case("clear, TLS, clear, three times on one connection", clear_again)

    def injected():
        """What a man in the middle put behind the command must not be heard as if it had come under TLS."""
        with Talk(lab) as talk:
            talk.ask("", "220 mail")
            talk.ask("STARTTLS\r\nMAIL FROM:<injected>", "220 go")
            got = b""
            try:
                while piece := talk.sock.recv(4096):
                    got += piece
            except ConnectionError:
                pass
            expect(got[:1] in (b"", b"\x15"), got)
        lab.wait_for("the server's word", lambda: "start: ECONNRESET" in lab.log_of(server), 30)
        expect("injected" not in lab.log_of(server), "it was heard")
        expect(lab.count_stat("TLS_CLEARTEXT_RECEIVED") > 0, "not counted")
    case("a command behind STARTTLS is never heard", injected)

    def at_once():
        """The handshake behind the command in one segment: the server has not asked when it comes."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context_of(lab).wrap_bio(incoming, outgoing, server_hostname=STACK_NAME)
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        with Talk(lab) as talk:
            talk.ask("", "220 mail")
            talk.sock.sendall(b"STARTTLS\r\n" + outgoing.read())
            expect(receive(talk.sock, 14) == b"220 go ahead\r\n", "no answer")
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    talk.sock.sendall(outgoing.read())
                    incoming.write(talk.sock.recv(65536))
            talk.sock.sendall(outgoing.read())
            tls.write(b"INFO\r\n")
            talk.sock.sendall(outgoing.read())
            got = b""
            while b"\n" not in got:
                try:
                    got += tls.read()
                except ssl.SSLWantReadError:
                    incoming.write(talk.sock.recv(65536))
            expect(got.startswith(b"211 error 0 policy 5 conn 3"), got)
    case("a hello in the same segment as STARTTLS", at_once)

    def shown():
        with Talk(lab) as talk:
            talk.ask("", "220 mail")
            conn = next(conn for conn in lab.conns() if conn["rule"] == "MAIL" and conn["state"] == "CLEAR")
            expect("until the program asks" in conn["note"], conn)
        expect(lab.count_stat("map_when_asked") > 0 and lab.count_stat("ttls_starts") > 0 and lab.count_stat("ttls_stops") >= 3, "not counted")
    case("pel conns and pel stats show it", shown)

    def silent():
        """A client that says STARTTLS and nothing more: 5004, and the connection is reset."""
        hasty = start_mail(lab, HASTY)
        lab.wait_served(HASTY, hasty, tls=False)
        with Talk(lab, HASTY) as talk:
            talk.ask("", "220 mail")
            talk.ask("STARTTLS", "220 go")
            try:
                expect(talk.sock.recv(100)[:1] in (b"", b"\x15"), "an answer")
            except ConnectionError:
                pass
        expect(lab.count_stat("TLS_HANDSHAKE_START_TIMEOUT") > 0, "not counted")
        lab.ended_well(hasty, fine=(-signal.SIGTERM, 0))
    case("a client that does not begin is reset after HandshakeTimeout", silent)
    case("the mail server ends", lambda: lab.ended_well(server, fine=(-signal.SIGTERM, 0)))


# ---- programs in Python: without waiting, and as a client ----

def puppet_cases(lab, case):
    puppet = Puppet(lab)
    expect(puppet.ask(f"exec({TTLS!r})") == "None", "the structure")

    def not_waiting():
        puppet.ask(f"listener = socket.create_server(('', {PORT}))")
        with Talk(lab) as talk:
            puppet.ask("sock = listener.accept()[0]; sock.setblocking(False)")
            expect(puppet.ask("stat(sock)") == "1", "it should be clear")
            talk.sock.sendall(b"STARTTLS\r\n")
            expect(puppet.ask("select.select([sock], [], [], 20) and sock.recv(10)") == "b'STARTTLS\\r\\n'", "no command")
            expect(puppet.ask(f"ask(sock, {INIT})") == "!EINPROGRESS", "it should have begun")
            expect(puppet.ask(f"ask(sock, {INIT})") == "!EAGAIN", "it is under way")
            expect(puppet.ask("select.select([], [sock], [], 0)[1]") == "[]", "it must not be writable yet")
            expect(puppet.ask("sock.send(b'x')") == "!EAGAIN", "nothing may be written yet")
            talk.secure()
            expect(puppet.ask("len(select.select([], [sock], [], 20)[1])") == "1", "it should be writable")
            expect(puppet.ask("stat(sock)") == "3", "it should be secure")
            puppet.ask("sock.send(b'hello\\r\\n')")
            talk.ask("", "hello")
            expect(puppet.ask(f"ask(sock, {INIT})") == "!EALREADY", "it is secure")
            expect(puppet.ask(f"ask(sock, {INIT | STOP})") == "!EPERM", "two at once")
            expect(puppet.ask("ask(sock, 4096)") == "!EINVAL", "no such request")
        puppet.ask("sock.close(); listener.close()")
    case("a Python program that does not wait", not_waiting)

    def let_off():
        puppet.ask(f"listener = socket.create_server(('', {HASTY}))")
        with Talk(lab, HASTY) as talk:
            puppet.ask("sock = listener.accept()[0]")
            expect(puppet.ask(f"ask(sock, {INIT | ALLOW})") == "!ETIMEDOUT", "the client did not begin")
            expect(puppet.ask("stat(sock)") == "1", "it should be clear")
            puppet.ask("sock.send(b'in clear, then\\r\\n')")
            talk.ask("", "in clear, then")
        puppet.ask("sock.close(); listener.close()")
    case("ALLOW_HSTIMEOUT: a client that does not begin is let off", let_off)

    def only_ask():
        puppet.ask(f"listener = socket.create_server(('', {NOT_ASKED}))")
        with Talk(lab, NOT_ASKED) as talk:
            puppet.ask("sock = listener.accept()[0]; sock.setblocking(False); stat(sock)")
            talk.secure()
            lab.wait_for("the handshake", lambda: puppet.ask("stat(sock)") == "3", 30)
            expect(puppet.ask("ask(sock, 0)[1:4]") == "bytearray(b'\\x04\\x03\\x02')", "enabled, secure, server")
            expect(puppet.ask(f"ask(sock, {STOP})") == "!EACCES", "it may only ask")
            expect(puppet.ask("ask(sock, 1)") == "!EINVAL", "no buffer")
        puppet.ask("sock.close(); listener.close()")
    case("without ApplicationControlled a program may ask, not control", only_ask)

    def known():
        """A client's certificate stands for a user, or is refused; the running stack is told of a new user."""
        lab.make_cert("mallory", "ca", "--client")
        puppet.ask(f"listener = socket.create_server(('', {KNOWN}))")

        def connect(name):
            """The user that the stack and the program see; None: refused."""
            context = context_of(lab)
            context.load_cert_chain(*lab.cert_of(name))
            with lab.raw_connect(KNOWN) as raw:
                remote = "{}:{}".format(*raw.getsockname())
                puppet.ask("sock = listener.accept()[0]; sock.setblocking(False); stat(sock)")
                try:
                    with context.wrap_socket(raw, server_hostname=STACK_NAME) as sock:
                        sock.sendall(b"x")
                        expect(puppet.ask("len(select.select([sock], [], [], 20)[0])") == "1", "no word")
                        if puppet.ask("sock.recv(1)") != "b'x'":
                            return None
                        conn = lab.expect_rule("KNOWN", remote=remote)
                        told = puppet.ask("ask(sock, 0)[24:40].rstrip(b'\\0').decode()")
                        expect(told == repr(conn["client_user"]), (told, conn["client_user"]))
                        return conn["client_user"]
                except OSError:
                    return None
                finally:
                    puppet.ask("sock.close()")
        expect(connect("alice") == "al" and connect("mallory") is None, "one is known")
        expect(lab.count_stat("TLS_NO_USER") > 0, "not counted")
        told = lab.pel("keyring", "user", "--dir", lab.ring("web"), "--user", "mal", "--subject", "CN=mallory", "--socket", lab.path("stack.sock"))
        expect("generation" in told.text, told.text)
        expect(connect("mallory") == "mal", "the stack was told")
        puppet.ask("listener.close()")
    case("SAFCheck: whom a certificate stands for, also from now on", known)

    def ftp():
        """The data connection has the control connection's policy, so the program protects it as it does that one."""
        puppet.ask(f"control = socket.create_server(('', {FTP})); data = socket.create_server(('', {DATA}))")
        with Talk(lab, FTP) as talk:
            puppet.ask("sock = control.accept()[0]; sock.send(b'220 ftp\\r\\n')")
            talk.ask("", "220 ftp")
            puppet.tell(f"(sock.send(b'234 go\\r\\n'), ask(sock, {INIT}), stat(sock))[2]")
            talk.ask("", "234 go")
            talk.secure()
            expect(puppet.hear() == "3", "the control connection should be secure")
            puppet.ask("sock.send(b'150 data\\r\\n')")
            talk.ask("", "150 data")
            with Talk(lab, DATA) as transfer:
                puppet.ask("sent = data.accept()[0]")
                expect(puppet.ask("ask(sent, 0)[1:3]") == "bytearray(b'\\x05\\x01')", "controlled, in clear")
                puppet.tell(f"(ask(sent, {INIT}), sent.send(b'the file\\r\\n'), stat(sent))[2]")
                transfer.secure()
                transfer.ask("", "the file")
                expect(puppet.hear() == "3", "the data connection should be secure")
            conn = next(conn for conn in lab.conns() if conn["local"].endswith(f":{DATA}"))
            expect(conn["rule"] == "FTP" and conn["map"] == "secondary", conn)
        puppet.ask("sock.close(); sent.close(); control.close(); data.close()")
    case("FTP: a data connection follows by SecondaryMap, and is protected when asked", ftp)

    def kinds():
        expect(puppet.ask("stat(socket.socket())") == "!ENOTCONN", "a new socket")
        expect(puppet.ask("stat(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))") == "!EPROTOTYPE", "a new one for UDP")
        puppet.ask("udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.bind(('', 9999))")
        expect(puppet.ask("stat(udp)") == "!EPROTOTYPE", "UDP")
        puppet.ask("kernels = socket.create_server(('127.0.0.1', 0))")
        expect(puppet.ask("stat(kernels)") in ("!ENOTTY", "!EINVAL"), "the kernel's")
    case("sockets that are no connection of the stack", kinds)

    def as_client():
        def mail_server(stream):
            file = stream.makefile("rwb", buffering=0)
            file.write(b"220 kernel\r\n")
            if file.readline() != b"STARTTLS\r\n":
                return
            file.write(b"220 go\r\n")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*lab.cert_of("origin"))
            with context.wrap_socket(stream, server_side=True, suppress_ragged_eofs=False) as secure:
                secure.sendall(b"secret " + secure.recv(100))
                secure.unwrap().sendall(b"clear again\r\n")
        errors = lab.serve(OUT, mail_server, tls=False)
        puppet.ask(f"sock = socket.create_connection(('{KERNEL_NAME}', {OUT}))")
        expect(puppet.ask("sock.recv(100)") == "b'220 kernel\\r\\n'", "no greeting")
        puppet.ask("sock.send(b'STARTTLS\\r\\n')")
        expect(puppet.ask("sock.recv(100)") == "b'220 go\\r\\n'", "no answer")
        begun = puppet.ask(f"cert(sock, request={INIT})")  # with the handshake its certificate
        puppet.ask("sock.send(b'hello')")
        expect(puppet.ask("sock.recv(100)") == "b'secret hello'", "no echo")
        lab.expect_rule("TO_MAIL", direction="outbound", server_name=KERNEL_NAME)
        with open(lab.cert_of("origin")[0]) as text:
            wanted = ssl.PEM_cert_to_DER_cert(text.read().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n")
        expect(begun == repr(wanted), "the peer's certificate, with the start")
        expect(puppet.ask("cert(sock)") == repr(wanted), "the peer's certificate")
        expect(puppet.ask("cert(sock, 10)") == "!ENOBUFS", "a short buffer")
        puppet.ask(f"ask(sock, {STOP})")
        expect(puppet.ask("sock.recv(100)") == "b'clear again\\r\\n'", "no clear text")
        expect(not errors, errors)
    case("a Python client: STARTTLS out, the server's name checked, and back", as_client)

    puppet.end()


def cases(lab, case):
    if ON_KERNEL:
        def skipped():
            raise Skip("the kernel has no SIOCTTLSCTL")
        case("programs that control TLS", skipped)
        return
    lab.make_cert("alice", "ca", "--client")
    lab.pel("keyring", "user", "--dir", lab.ring("web"), "--user", "al", "--file", lab.cert_of("alice")[0], "--no-reload")
    lab.start_stack(POLICY)
    mail_cases(lab, case)
    puppet_cases(lab, case)


if __name__ == "__main__":
    raise SystemExit(main("controlled", cases))
