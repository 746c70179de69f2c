#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Policy in a running stack: loading, reloading under load, watching files, stale rules, and what is shown of it."""
import json
import os
import re
import shlex
import shutil
import signal
import sys
import time

from lab import GROUP, advanced, expect, inbound, main

LISTEN = ("10.77.0.2:443", "10.77.0.2:444", "10.77.0.2:8080")
WEB = GROUP + inbound("WEB", 443, "web")

# Requests over TLS, each on a connection of its own, in threads, until a file appears; one more connection stays and asks
# again and again. Prints how many there were, and each failure.
LOOP = """
import os, socket, ssl, sys, threading
ca, stop = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
counts, failures = [0] * 4, []
REQUEST = b"GET /hello HTTP/1.1\\r\\nHost: www.test\\r\\n"
def ask(connection, more):
    connection.sendall(REQUEST + more + b"\\r\\n")
    got = b""
    while b"plaintext server" not in got:
        part = connection.recv(4096)
        if not part:
            raise OSError("ended after %d bytes" % len(got))
        got += part
def connect():
    raw = socket.create_connection(("10.77.0.2", 443), 10)
    return context.wrap_socket(raw, server_hostname="www.test")
def run(index):
    held = connect() if index == 0 else None
    while not os.path.exists(stop):
        try:
            if held is not None:
                ask(held, b"")
            with connect() as connection:
                ask(connection, b"Connection: close\\r\\n")
            counts[index] += 1
        except Exception as error:
            failures.append("%s: %s" % (type(error).__name__, error))
threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print("requests", sum(counts), flush=True)
for failure in failures: print("failed", failure)
"""

# A connection that is opened, told of, and held until its stdin ends. What it sends first is TLS of its own, if asked.
HOLD = """
import socket, ssl, sys
ca, port, inner = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "inner"
connection = socket.create_connection(("10.77.0.2", port), 10)
if port != 8080:
    connection = ssl.create_default_context(cafile=ca).wrap_socket(connection, server_hostname="www.test")
if inner:
    outgoing = ssl.MemoryBIO()
    program = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="inner.test")
    try:
        program.do_handshake()
    except ssl.SSLWantReadError:
        pass
    connection.sendall(outgoing.read())
print("held", flush=True)
sys.stdin.read()
"""

SERIAL = """
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
with socket.create_connection(("10.77.0.2", 443), 10) as raw:
    with context.wrap_socket(raw, server_hostname="www.test") as connection:
        print(connection.getpeercert()["serialNumber"])
"""


def has(text, *parts):
    for part in parts:
        expect(part in text, f"no {part!r} in: {text}")


class Web:
    """An httpd with a policy of its own, and what is asked of it."""

    def __init__(self, lab, policy=WEB, more="", before=(), ready="httpd: serving", sections=""):
        self.lab = lab
        config = lab.config("httpd", policy, more=sections)
        with open(config) as text:
            changed = text.read().replace("policy:\n", f"policy:\n{more}")
        lab.write("httpd.yaml", changed)
        arguments = [word for address in LISTEN for word in ("--listen", address)]
        self.process = lab.start(*before, lab.app("httpd"), "--config", config, "--root", lab.path("www"), "--upload-dir",
                                 lab.path("up"), *arguments, log="httpd.log")
        try:
            lab.wait_for("httpd", lambda: self.process.poll() is not None or ready in self.log(), 20)
            expect(self.process.poll() is None, f"httpd did not start:\n{self.log()}")
            lab.address_tap()
        except BaseException:
            lab.stop(self.process)
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lab.stop(self.process)
        expect("Sanitizer" not in self.log(), self.log()[-4000:])

    def log(self):
        return self.lab.log_of(self.process)

    def says(self, *parts):
        """Waits for all of them: what a file says comes after what the stack did, and line by line."""
        try:
            self.lab.wait_for("what is said", lambda: all(part in self.log() for part in parts))
        except AssertionError:
            has(self.log(), *parts)

    def pel(self, *words, check=True):
        return self.lab.pel(*words, "--socket", self.lab.path("httpd.sock"), check=check)

    def status(self, *words):
        return json.loads(self.pel("policy", "status", "--json", *words).text)

    def load(self, *words):
        return self.pel("policy", "load", *words, check=False)

    def rule(self, name):
        return next(rule for rule in self.status("--rules")["rules"] if rule["rule"] == name)

    def write(self, policy):
        """As an editor does: beside it, and renamed."""
        os.rename(self.lab.write("new.policy", policy), self.lab.path("httpd.policy"))

    def get(self, port=443):
        lab = self.lab
        scheme = "http" if port == 8080 else "https"
        return lab.run("curl", "-s", "-m", "10", "--cacert", lab.ring("ca") + "/ca.crt", "--resolve", f"www.test:{port}:10.77.0.2",
                       f"{scheme}://www.test:{port}/hello", check=False)

    def serial(self):
        return self.lab.run(sys.executable, "-c", SERIAL, self.lab.ring("ca") + "/ca.crt").text.strip()

    def hold(self, port, inner=False):
        lab = self.lab
        client = lab.start(sys.executable, "-c", HOLD, lab.ring("ca") + "/ca.crt", str(port), "inner" if inner else "plain",
                           log=f"hold-{port}.log")
        lab.wait_for("the connection", lambda: "held" in lab.log_of(client) or client.poll() is not None)
        expect(client.poll() is None, lab.log_of(client))
        return client

    def generation(self):
        return self.status("--stale")["generation"]

    def wait_for_generation(self, number):
        self.lab.wait_for(f"generation {number}", lambda: self.generation() >= number)
        expect(self.generation() == number, f"generation {self.generation()} and not {number}\n{self.log()}")

    def settled(self):
        """The generation, when no load is under way any more: files that are written one by one may take two loads."""
        last = [None, 0.0]
        def is_still():
            now = self.generation()
            if now != last[0]:
                last[:] = now, time.monotonic()
            return time.monotonic() - last[1] > 1.0
        self.lab.wait_for("an end of loads", is_still, 20)
        return last[0]


def prepare(lab):
    os.makedirs(lab.path("www"))
    os.makedirs(lab.path("up"))
    lab.write("www/hello", "hello from a plaintext server\n")
    lab.make_ca("ca")
    renew(lab)


def renew(lab, ring="web", days=20):
    lab.make_cert(ring, "ca", "--dns", "www.test", "--ip", "10.77.0.2", "--days", str(days), "--default", "--force")


# ---- what is shown ----

def status_case(lab):
    with Web(lab, WEB + inbound("NORING", 444, "nosuchring")) as web:
        for _ in range(3):
            has(web.get().text, "hello from")
            has(web.get(8080).text, "hello from")
        text = web.pel("policy", "status").text
        has(text, "policy generation 1, loaded at", "(start)", lab.path("httpd.policy"), "2 rules", "1 rules that cannot be served",
            "files are not watched", "expires soon", "CN=web", "authority", "8080")
        expect(re.search(r"^WEB +1 +inbound +tls +3 +20\d\d-", text, re.M), text)
        expect(re.search(r"^NORING .* no$", text, re.M), text)
        has(text, "NORING cannot be served, its connections are refused: ", "nosuchring")
        expect(re.search(r"^8080 +inbound +3 ", text, re.M), text)
        status = web.status()
        expect(status["how"] == "start" and status["age_s"] < 60 and status["failure"] is None, str(status))
        own = next(cert for cert in status["certificates"] if cert["place"] == "own" and cert["keyring"] == "web")
        expect(own["days"] in (19, 20) and own["state"] == "expires soon" and own["keyring"] == "web", str(own))
        missing = next(cert for cert in status["certificates"] if cert["keyring"] == "nosuchring")
        expect(missing["error"] == "KEYRING_MISSING", str(missing))
        expect(abs(web.rule("WEB")["last_hit"] - time.time()) < 60, "last hit")
        # Each part alone.
        for part, there in (("--rules", "PRIORITY"), ("--certs", "SUBJECT"), ("--ports", "SUCH AS")):
            text = web.pel("policy", "status", part).text
            has(text, there)
            expect(sum(word in text for word in ("PRIORITY", "SUBJECT", "SUCH AS")) == 1, text)
        web.says("warning: keyring web: certificate mine (CN=web) expires in ")
        web.says("error: keyring nosuchring cannot be used: ")
        usage = lab.pel("policy", "status", "--colour", check=False)
        expect(usage.returncode == 2, usage.text)


def no_rule_case(lab):
    with Web(lab) as web:
        for _ in range(3):
            web.get(8080)
        web.says("no rule matches connections to local port 8080, such as one from 10.77.0.1:", "why, says: ")
        expect(web.log().count("no rule matches") == 1, web.log())
        command = web.log().split("why, says: ")[1].split("\n")[0]
        words = shlex.split(command)
        expect(words[:3] == ["pel", "policy", "match"] and words[-1] == "--why", command)
        row = web.status("--ports")["no_rule"][0]
        expect(row["port"] == 8080 and row["count"] == 3 and row["command"] == command, str(row))
        result = lab.pel(*words[1:], check=False)
        if "Usage: pel policy" not in result.text:  # the verb is there
            has(result.text, "no rule\n")
            has(result.text, "WEB", "local port 8080 is not 443")
        # Once a port and generation.
        web.load()
        web.get(8080)
        lab.wait_for("the next line", lambda: web.log().count("no rule matches") == 2)


# ---- loading ----

def load_case(lab):
    with Web(lab, WEB + inbound("OLD", 444, "web")) as web:
        web.get()
        web.write(GROUP + inbound("WEB", 443, "web") + inbound("NEW", 445, "web")
                  + inbound("OLD", 444, "web", more=advanced("HandshakeTimeout 20")))
        result = web.load()
        expect(result.returncode == 0, result.text)
        has(result.text, "the configured files: loaded, 3 rules, generation 2\n", "  rule NEW added\n",
            "  rule OLD changed: HandshakeTimeout: 10 -> 20\n")
        expect("WEB" not in result.text, result.text)
        web.says("policy generation 2: rule NEW added\n", "rules: 1 added, 0 removed, 1 changed, 0 moved")
        expect(web.rule("WEB")["since_generation"] == 1 and web.rule("WEB")["hits"] == 1, "the rule began anew")
        expect(web.rule("OLD")["since_generation"] == 2 and web.rule("OLD")["hits"] == 0, "the rule did not begin anew")
        # Nothing changes; the keyring is read again all the same.
        before = web.serial()
        renew(lab)
        web.process.send_signal(signal.SIGHUP)
        web.wait_for_generation(3)
        web.says("policy generation 3: 3 rules, 0 warnings, 0 rules that cannot be served; nothing changed in effect\n",
            "policy generation 3: 1 certificates are new\n")
        expect(web.serial() != before, "the old certificate is served")
        result = web.load(lab.path("httpd.policy"))
        has(result.text, "generation 4\n  nothing changed in effect; keyrings and authorities were read again\n")
        answer = json.loads(web.pel("policy", "load", "--json").text)
        expect(answer["ok"] and answer["changes"] == [] and answer["changed"] == 0 and answer["generation"] == 5, str(answer))
        # A parameter that exists to force a change.
        web.write(WEB.replace("TTLSEnabled On", "TTLSEnabled On\n  GroupUserInstance 7"))
        has(web.load().text, "rule WEB changed: GroupUserInstance: ", "rule NEW removed", "rule OLD removed")
        # A rule whose keyring is not there: loaded when asked for, and said.
        web.write(WEB + inbound("LATER", 446, "later"))
        result = web.load()
        expect(result.returncode == 0, result.text)
        has(result.text, "rule LATER cannot be served, its connections are refused: ")
        # Links are not resolved before the stack sees them; a path may be relative.
        os.symlink("httpd.policy", lab.path("link.policy"))
        lab.run(lab.app("pel"), "policy", "load", "--socket", "httpd.sock", "link.policy", cwd=lab.dir)
        expect(web.status("--stale")["files"] == [lab.path("link.policy")], str(web.status("--stale")["files"]))


def refused_case(lab):
    with Web(lab) as web:
        for text, said in (("TTLSRule x\n{\n  Colour 1\n}\n", "httpd.policy:3:3: error: "),
                           ("", "no rule is left, so that every connection would be in clear")):
            lab.write("httpd.policy", text)
            result = web.load()
            expect(result.returncode == 1, result.text)
            has(result.text, said, "generation 1 stays in force")
            status = web.status()
            expect(status["generation"] == 1 and status["failure"]["how"] == "load", str(status["failure"]))
            expect(abs(status["failure"]["at"] - time.time()) < 60, "when")
            has(web.pel("policy", "status").text, "the last attempt FAILED at ", said if text == "" else "Colour")
            has(web.get().text, "hello from")
        result = web.load(lab.path("nothing.policy"))
        expect(result.returncode == 1 and "No such file" in result.text, result.text)
        doctor = lab.pel("doctor", "--socket", lab.path("httpd.sock"), check=False).text
        has(doctor, "the last load (load) failed: ")
        lab.write("httpd.policy", WEB)
        web.load()
        expect(web.status()["failure"] is None, "the failure is still shown")
        has(lab.pel("doctor", "--socket", lab.path("httpd.sock"), check=False).text, "generation 2 is in force")
    # Refusing what no rule matches, an empty policy lets nothing through.
    with Web(lab, more="  no_match: refuse\n") as web:
        lab.write("httpd.policy", "# nothing\n")
        expect(web.load().returncode == 0, "refused")
        expect(web.get().returncode != 0, "let through")


def load_under_load_case(lab):
    lab.make_cert("other", "ca", "--dns", "www.test", "--default")
    rules = WEB + inbound("OTHER", 444, "other")
    variants = (rules, rules + inbound("MORE", 445, "web"), rules.replace("HandshakeRole Server", "HandshakeRole Server\n    Trace 6"),
                WEB, "TTLSRule broken\n{\n")
    with Web(lab, rules, sections="engine:\n  count: 2\n") as web:
        stop = lab.path("stop")
        client = lab.start(sys.executable, "-c", LOOP, lab.ring("ca") + "/ca.crt", stop, log="loop.log")
        lab.wait_for("requests", lambda: web.rule("WEB")["hits"] > 20 or client.poll() is not None, 20)
        loaded = 1
        for i in range(100):
            web.write(variants[i % len(variants)])
            if i % 10 == 0:
                renew(lab)
            if i % 3 == 0:
                web.process.send_signal(signal.SIGHUP)
                if i % len(variants) != len(variants) - 1:
                    web.wait_for_generation(loaded + 1)
                else:
                    lab.wait_for("the refusal", lambda: (web.status("--stale")["failure"] or {}).get("how") == "SIGHUP")
            else:
                web.load()
            loaded += i % len(variants) != len(variants) - 1
        expect(web.generation() == loaded, f"generation {web.generation()} and not {loaded}")
        lab.write("stop", "")
        client.wait(20)
        said = lab.log_of(client)
        lab.stop(client)
        os.unlink(stop)
        expect("failed" not in said, said)
        expect(int(said.split("requests ")[1].split()[0]) > 100, said)
        expect(loaded == 81, f"{loaded} loads")


def stale_case(lab):
    with Web(lab, WEB + inbound("GONE", 444, "web")) as web:
        old, gone = web.hold(443), web.hold(444)
        web.load()
        expect(web.status("--stale")["stale"] == [], "stale without a change")
        web.write(GROUP + inbound("WEB", 443, "web", more=advanced("HandshakeTimeout 20")))
        web.load()
        new = web.hold(443)
        rows = [(row["rule"], row["generation"], row["why"], row["connections"]) for row in web.status("--stale")["stale"]]
        expect(rows == [("GONE", 1, "deleted", 1), ("WEB", 1, "changed", 1)], str(rows))
        text = web.pel("policy", "status", "--stale").text
        expect(re.search(r"^GONE +1 +deleted +1 +\d+ s$", text, re.M), text)
        text = web.pel("conns", "--stale").text
        has(text, "rule deleted", "rule changed", ": 2 connections")
        text = web.pel("conns", "--rule", "WEB", "--actions").text
        has(text, ": 2 connections", "GROUP", "ENVIRONMENT", " on ")
        has(web.pel("conns", "--rule", "nothing").text, ": 0 connections")
        # A load that leaves the rules as they are leaves who is stale as it is.
        web.load()
        expect(len(web.status("--stale")["stale"]) == 2, "a load without a change has changed it")
        for client in (old, gone):
            lab.stop(client)
        lab.wait_for("their end", lambda: web.status("--stale")["stale"] == [])
        lab.stop(new)


def kept_case(lab):
    with Web(lab, WEB + inbound("GONE", 444, "web"), more="  flush: off\n") as web:
        web.get(444)
        # The group is another now: the rule that stays has its own still.
        web.write(WEB.replace("TTLSEnabled On", "TTLSEnabled On\n  GroupUserInstance 7"))
        result = web.load()
        has(result.text, "loaded, 2 rules, generation 2", "rule WEB changed", "1 rule is in no file any more, and stays (flush is off)")
        expect("GONE" not in result.text, result.text)
        gone = web.rule("GONE")
        expect(gone["kept"] and gone["hits"] == 1 and gone["since_generation"] == 1, str(gone))
        has(gone["file"], "kept from generation 1")
        has(web.get(444).text, "hello from")
        ask = ("--direction", "inbound", "--local", "10.77.0.2:444", "--remote", "10.77.0.1:9", "--why")
        has(lab.pel("policy", "match", lab.path("httpd.policy"), *ask).text, "no rule\n")
        has(web.pel("policy", "match", "--live", *ask).text, "rule GONE (in no file any more)\ntls\n",
            "  GONE (in no file any more): matches\n", "  WEB: not reached (local port 444 is not 443)\n")
        web.get(8080)
        command = shlex.split(web.status("--ports")["no_rule"][0]["command"])
        expect(command[3:6] == ["--live", "--socket", lab.path("httpd.sock")], str(command))
        has(lab.pel(*command[1:]).text, "no rule\nclear (no rule)\n", "  GONE (in no file any more): local port 8080 is not 444\n")
        has(web.load().text, "nothing changed in effect", "1 rule is in no file any more")
        lab.write("httpd.policy", "")
        has(web.load().text, "loaded, 2 rules, generation 4", "2 rules are in no file any more, and stay")
        # An image is a file like others.
        lab.write("short.policy", GROUP + inbound("SHORT", 445, "web"))
        lab.pel("policy", "compile", "-o", lab.path("short.image"), lab.path("short.policy"))
        has(web.load(lab.path("short.image")).text, "loaded, 3 rules, generation 5", "rule SHORT added", "2 rules are in no file")
        lab.write("httpd.policy", "")
        # In the files again, it is theirs; an agent's file has the last word.
        lab.write("rules.policy", GROUP + inbound("GONE", 444, "web", more=advanced("HandshakeTimeout 20")))
        agent = lab.write("agent.conf", "TTLSConfig rules.policy NOFLUSH PURGE\n")
        result = web.load(agent)
        has(result.text, "loaded, 3 rules", "rule GONE changed: HandshakeTimeout: 10 -> 20", "note: PURGE: accepted, no effect: ")
        expect("kept" not in web.rule("GONE") and web.rule("WEB")["kept"], "kept")
        lab.write("agent.conf", "TTLSConfig rules.policy FLUSH\n")
        has(web.load(agent).text, "loaded, 1 rule,", "rule WEB removed", "rule SHORT removed")
        expect(web.get().returncode != 0, "TLS without a rule")


# ---- keyrings that are PKCS#12 files ----

def make_pkcs12(lab, path, password, *more):
    """As an authority sends it: a new certificate, by an intermediate, with both and the root."""
    def openssl(*words):
        lab.run("openssl", *words, cwd=lab.dir)

    def issue(name, extensions, *by):
        lab.write("extensions", extensions)
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                "-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl("x509", "-req", "-in", f"{name}.csr", "-extfile", "extensions", "-days", "20", "-out", f"{name}.crt", *by)
    root = lab.ring("ca") + "/ca"
    issue("between", "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n", "-CA", root + ".crt", "-CAkey", root + ".key")
    issue("www.test", "subjectAltName=DNS:www.test\nextendedKeyUsage=serverAuth\n", "-CA", "between.crt", "-CAkey", "between.key")
    with open(lab.path("others.crt"), "w") as out:
        for name in (root + ".crt", lab.path("between.crt")):
            with open(name) as text:
                out.write(text.read())
    openssl("pkcs12", "-export", "-inkey", "www.test.key", "-in", "www.test.crt", "-certfile", "others.crt", "-name", "site",
            "-passout", f"pass:{password}", "-out", path + ".new", *more)
    os.rename(path + ".new", path)


def pkcs12_case(lab):
    path, stash = lab.path("site.p12"), lab.path("stash")
    make_pkcs12(lab, path, "secret")
    with open(stash, "w") as out:
        os.chmod(stash, 0o600)
        out.write("secret\n")
    def rules(password, port=443):
        return GROUP + inbound("WEB", port, f"{path}\n      {password}")
    with Web(lab, rules("KeyringPw secret")) as web:
        has(web.get().text, "hello from")
        certs = [cert for cert in web.status("--certs")["certificates"] if cert["keyring"] == path]
        shown = sorted((cert["place"], cert["label"], cert["subject"], cert["state"]) for cert in certs)
        expect(shown == [("chain", "site", "CN=between", "expires soon"), ("own", "site", "CN=www.test", "expires soon"),
                         ("trust", "site.p12", "CN=ca", "valid")], str(shown))
        expect(all(cert["used"] and cert["days"] >= 19 for cert in certs), str(certs))
        web.says(f"warning: keyring {path}: certificate site (CN=www.test) expires in ")
        # A new one, in an old form.
        before = web.serial()
        make_pkcs12(lab, path, "secret", "-legacy")
        has(web.load().text, "2 certificates are new")
        expect(web.serial() != before, "the old certificate is served")
        # The password is neither shown nor right.
        web.write(rules("KeyringPw hush"))
        text = web.load().text
        has(text, "rule WEB cannot be served", "the password of this PKCS#12 file is another one")
        status = web.pel("policy", "status").text
        has(status, path, "cannot be used")
        expect("hush" not in text + status + web.log() + json.dumps(web.status()), "the password is shown")
        expect(web.get().returncode != 0, "served")
        web.write(rules(f"KeyringStashFile {stash}"))
        web.load()
        has(web.get().text, "hello from")
    # The file and the one with its password are watched: what is served stays until they fit each other.
    with watched(lab, rules(f"KeyringStashFile {stash}")) as web:
        before = web.serial()
        make_pkcs12(lab, path, "another")
        web.says("rule WEB could not be served any more: ")
        expect(web.serial() == before, "the half was taken")
        with open(stash, "w") as out:
            out.write("another\n")
        expect_new_serial(lab, web, before)


# ---- keyrings that pel keyring changes ----

# Sees one control socket in /run/pellucid, whatever else runs on this machine.
ALONE = ("unshare", "-m", "sh", "-c", "mkdir -p /run/pellucid && mount -t tmpfs none /run/pellucid && { [ -z \"$0\" ] || "
         "ln -s \"$0\" /run/pellucid/it-1.sock; } && exec \"$@\"")


def keyring_case(lab):
    with Web(lab) as web:
        def keyring(verb, *words, ring="web", socket=True, check=True):
            more = ("--socket", lab.path("httpd.sock")) if socket else ()
            return lab.run(lab.app("pel"), "keyring", verb, "--dir", lab.ring(ring), *words, *more, check=check)

        def cert(*words, **more):
            return keyring("cert", "--label", "mine", "--subject", "CN=web", "--ca", lab.ring("ca"), "--dns", "www.test", "--default",
                           "--force", *words, **more)
        # Served without another word.
        before = web.serial()
        has(cert().text, f"the running stack (httpd, process {web.process.pid}) loaded generation 2; 1 certificate is new\n")
        expect(web.serial() != before, "the old certificate is served")
        status = web.status()
        expect(status["how"] == "keyring" and status["generation"] == 2, str(status))
        # What is in force, not what is configured.
        web.load(lab.write("other.policy", WEB))
        has(keyring("default", "--label", "mine").text, "loaded generation 4\n")
        expect(web.status()["files"] == [lab.path("other.policy")], str(web.status()["files"]))
        lab.make_ca("spare-ca", "--no-reload")
        has(keyring("trust", "--label", "spare-ca", "--file", lab.ring("spare-ca") + "/ca.crt").text, "loaded generation 5; 1 certificate")
        # Under its directory, but no rule's; elsewhere; by an option.
        has(keyring("ca", "--force", ring="spare-ca").text, f"no rule of the running stack (httpd, process {web.process.pid}) takes from ")
        elsewhere = lab.run(lab.app("pel"), "keyring", "ca", "--dir", lab.path("elsewhere"), "--socket", lab.path("httpd.sock"))
        expect("running stack" not in elsewhere.text, elsewhere.text)
        expect("running stack" not in cert("--no-reload").text, "told nevertheless")
        expect("running stack" not in keyring("list", socket=False).text, "told of a look")
        expect(web.generation() == 5, "a load without need")
        # Through a link, and found by itself.
        os.symlink(lab.ring("web"), lab.path("link"))
        result = lab.run(*ALONE, lab.path("httpd.sock"), lab.app("pel"), "keyring", "default", "--dir", lab.path("link"), "--label", "mine")
        has(result.text, "loaded generation 6")
        # Nobody there is no error, and nothing to speak of, unless it was named.
        result = lab.run(*ALONE, "", lab.app("pel"), "keyring", "default", "--dir", lab.ring("web"), "--label", "mine")
        expect(result.text == "", result.text)
        result = lab.run(lab.app("pel"), "keyring", "default", "--dir", lab.ring("web"), "--label", "mine", "--socket", lab.path("no.sock"))
        has(result.text, "pel keyring: the stack at ", "no.sock was not told: ")
        # What the stack cannot take it does not, and what is served stays.
        lab.write("other.policy", "TTLSRule x\n{\n  Colour 1\n}\n")
        has(cert().text, "has not loaded it: the policy has 3 errors; generation 6 stays in force\n")
        has(web.get().text, "hello from")
        lab.write("other.policy", WEB)
        os.chmod(lab.ring("web") + "/mine.key", 0o644)
        has(keyring("default", "--label", "mine").text, "rule WEB could not be served any more", "generation 6 stays in force")
        # A keyring that only the refused policy names.
        lab.write("other.policy", WEB.replace("Keyring web", "Keyring awaited"))
        has(keyring("default", "--label", "mine").text, "rule WEB could not be served any more", "awaited: no such keyring directory")
        has(cert(ring="awaited").text, f"the running stack (httpd, process {web.process.pid}) loaded generation 7; ")
        has(web.get().text, "hello from")
    with watched(lab) as web:
        renew(lab)
        has(keyring("default", "--label", "mine").text, "watches this keyring, and loads by itself\n")


# ---- watching ----

def watched(lab, policy=WEB, **more):
    return Web(lab, policy, more="  watch: on\n", **more)


def expect_new_serial(lab, web, before):
    lab.wait_for("the new certificate", lambda: web.serial() != before)


def watch_certificates_case(lab):
    with watched(lab) as web:
        expect(web.status("--stale")["watch"], "not watching")
        for _ in range(3):
            before = web.serial()
            renew(lab)
            expect_new_serial(lab, web, before)
        web.says("(CN=web) expires in")
        expect(web.status("--certs")["how"] == "watch", "how")
        # A certificate whose key comes later: what is served stays until both are there.
        generation = web.settled()
        lab.make_cert("spare", "ca", "--dns", "www.test")
        ring, before = lab.ring("web"), web.serial()
        shutil.copy(lab.ring("spare") + "/mine.crt", ring + "/mine.crt")
        web.says("rule WEB could not be served any more: ")
        expect(web.serial() == before and web.generation() == generation, "the half was taken")
        expect(web.status("--stale")["failure"]["how"] == "watch", "no failure is shown")
        shutil.copy(lab.ring("spare") + "/mine.key", ring + "/mine.key")
        lab.wait_for("the rest", lambda: web.serial() != before)
        # Authorities too: one more in trust/, while somebody writes beside it.
        generation = web.settled()
        lab.make_ca("second")
        with open(ring + "/notes", "w") as out:
            out.write("x")
            out.flush()
            shutil.copy(lab.ring("second") + "/ca.crt", lab.path("second.crt"))
            os.rename(lab.path("second.crt"), ring + "/trust/second.crt")
            web.wait_for_generation(generation + 1)
        expect(any(cert["label"] == "second" for cert in web.status("--certs")["certificates"]), "not shown")
        # A key that others may read is not served again, but what is served stays.
        os.chmod(ring + "/mine.key", 0o644)
        web.says("lets others at a private key")
        has(web.get().text, "hello from")
        has(lab.pel("doctor", "--keyrings", lab.path("rings"), "--socket", lab.path("httpd.sock"), check=False).text,
            "1 with a wrong mode: ", "lets others at a private key", "the last load (watch) failed")
        os.chmod(ring + "/mine.key", 0o600)
        web.wait_for_generation(generation + 2)
        os.unlink(ring + "/trust/second.crt")
        web.wait_for_generation(generation + 3)


def watch_files_case(lab):
    more = inbound("MORE", 444, "web")
    with watched(lab) as web:
        path = lab.path("httpd.policy")
        # Renamed over it, written in place, removed and written anew.
        web.write(WEB + more)
        web.wait_for_generation(2)
        lab.write("httpd.policy", WEB)
        web.wait_for_generation(3)
        os.unlink(path)
        web.says("No such file")
        lab.write("httpd.policy", WEB + more)
        web.wait_for_generation(4)
        # A copy that the editor keeps, or a file beside it, is nothing.
        lab.write("httpd.policy~", WEB)
        lab.write("unrelated", "x")
        os.utime(path)
        time.sleep(0.5)
        # The last touched its times: it is read again, and nothing has changed.
        web.wait_for_generation(5)
        web.says("policy generation 5: 2 rules, 0 warnings, 0 rules that cannot be served; nothing changed in effect\n")
        # A broken file is refused and said.
        lab.write("httpd.policy", "TTLSRule x\n{\n  Colour 1\n}\n")
        web.says("httpd.policy:3:3: error: ")
        web.says("policy not loaded (watch): the policy has ", "generation 5 stays in force")
        expect(web.generation() == 5, "taken")
        # A burst of changes is a few loads.
        for i in range(30):
            web.write(WEB + inbound(f"R{i}", 1000 + i, "web"))
            time.sleep(0.01)
        lab.wait_for("the last of them", lambda: any(rule["rule"] == "R29" for rule in web.status("--rules")["rules"]))
        expect(web.generation() <= 5 + 10, f"{web.generation() - 5} loads")
        # What the operator loads is what is watched.
        other = lab.write("other.policy", WEB)
        time.sleep(0.1)  # so that it is older than the load that reads it
        generation = web.generation()
        web.load(other)
        lab.write("httpd.policy", WEB + more)
        time.sleep(0.5)
        expect(web.generation() == generation + 1, "another file than that in force was loaded")
        lab.write("other.policy", WEB + more)
        web.wait_for_generation(generation + 2)


def half_written_case(lab):
    """A file that is written slowly is not taken before it is closed, although its half would be a policy."""
    with watched(lab, WEB + inbound("SECOND", 444, "web")) as web:
        with open(lab.path("httpd.policy"), "w") as out:
            out.write(WEB)
            out.flush()
            time.sleep(1.0)
            expect(web.generation() == 1, "the half was taken")
            out.write(inbound("SECOND", 444, "web") + inbound("THIRD", 445, "web"))
        web.wait_for_generation(2)
        expect(len(web.status("--rules")["rules"]) == 3, "not whole")


def watch_links_case(lab):
    """As a mounted volume is switched: ..data leads to a directory with all files, and is renamed over."""
    volume = lab.path("volume")
    os.makedirs(f"{volume}/..1/ring/trust")
    def fill(number, policy):
        folder = f"{volume}/..{number}"
        os.makedirs(f"{folder}/ring/trust", exist_ok=True)
        lab.make_cert("fresh", "ca", "--dns", "www.test", "--default", "--force")
        for name in ("mine.crt", "mine.key", "default"):
            shutil.copy(f"{lab.ring('fresh')}/{name}", f"{folder}/ring/{name}")
        with open(f"{folder}/policy", "w") as out:
            out.write(policy)
        os.symlink(f"..{number}", f"{volume}/..new")
        os.rename(f"{volume}/..new", f"{volume}/..data")
    policy = WEB.replace("Keyring web", f"Keyring {volume}/ring")
    fill(1, policy)
    os.symlink("..data/policy", f"{volume}/policy")
    os.makedirs(f"{volume}/ring")
    for name in ("mine.crt", "mine.key", "default"):
        os.symlink(f"../..data/ring/{name}", f"{volume}/ring/{name}")
    with watched(lab, policy) as web:
        web.load(f"{volume}/policy")
        for number in (2, 3):
            before, generation = web.serial(), web.settled()
            fill(number, policy + inbound(f"R{number}", 1000 + number, "web"))
            shutil.rmtree(f"{volume}/..{number - 1}")
            expect_new_serial(lab, web, before)
            expect(web.rule(f"R{number}")["since_generation"] == generation + 1, web.log())


def watch_agent_case(lab):
    """Files that an agent's file names are watched, also the one that it named last and that was no good."""
    lab.write("first.policy", WEB)
    with watched(lab) as web:
        agent = lab.write("agent.conf", "TTLSConfig first.policy\n")
        web.load(agent)
        lab.write("first.policy", WEB + inbound("MORE", 444, "web"))
        web.wait_for_generation(3)
        lab.write("agent.conf", "TTLSConfig second.policy\n")
        web.says("second.policy")
        lab.write("second.policy", WEB)
        web.wait_for_generation(4)
        expect([os.path.basename(name) for name in web.status("--stale")["files_read"]] == ["agent.conf", "second.policy"],
               str(web.status("--stale")["files_read"]))


def match_live_case(lab):
    def ask(web, *words, direction="inbound", local="10.77.0.2:443", remote="10.77.0.1:9", check=True):
        return web.pel("policy", "match", "--live", "--direction", direction, "--local", local, "--remote", remote, *words, check=check)
    policy = GROUP + inbound("WEB", 443, "web") + inbound("JOE", 444, "nosuchring").replace("  Priority", "  Userid joe\n  Priority")
    with Web(lab, policy, more="  no_match: refuse\n") as web:
        has(ask(web).text, "rule WEB\ntls\n")
        has(ask(web, local="[fd77::2]:443", remote="[fd77::1]:9").text, "rule WEB\n")
        has(ask(web, local="10.77.0.2:444").text, "no rule\nrefused (no rule)\n")
        has(ask(web, "--user", "JOE", local="10.77.0.2:444").text, "rule JOE\ntls\ncannot be served, its connections are refused: ")
        has(ask(web, direction="outbound").text, "no rule\n")
        answer = json.loads(ask(web, "--json").text)
        expect(answer["generation"] == 1 and answer["rule"] == "WEB" and len(answer["rules"]) == 2 and "ok" not in answer, str(answer))
        # The same as of its file.
        files = json.loads(lab.pel("policy", "match", lab.path("httpd.policy"), "--direction", "inbound", "--local", "10.77.0.2:443",
                                   "--remote", "10.77.0.1:9", "--json").text)
        expect(files == {key: answer[key] for key in files}, f"{files} and {answer}")
        for words in (("--live", "x.policy"), ("--socket", "/s"), ()):
            result = lab.pel("policy", "match", "--direction", "inbound", "--local", "1.1.1.1:1", "--remote", "1.1.1.1:1", *words, check=False)
            expect(result.returncode == 2, result.text)


def start_without_case(lab):
    """A policy that is no good at the start, mended later."""
    with watched(lab, "TTLSRule x\n{\n", ready="no policy is in force: the start gate stays closed") as web:
        lab.wait_for("the control socket", lambda: os.path.exists(lab.path("httpd.sock")))
        expect(web.generation() == 0, "a generation")
        has(web.pel("policy", "status").text, "no policy is in force; the start gate is closed", "the last attempt FAILED")
        result = web.pel("policy", "match", "--live", "--direction", "inbound", "--local", "10.77.0.2:443", "--remote", "10.77.0.1:9", check=False)
        expect(result.returncode == 1 and "no policy is in force" in result.text, result.text)
        has(lab.pel("doctor", "--socket", lab.path("httpd.sock"), check=False).text, "the last load (start) failed")
        web.write(WEB)
        web.wait_for_generation(1)
        lab.wait_for("the listener", lambda: "hello from" in web.get().text)


def unwatchable_case(lab):
    """A directory that can be passed and not read: inotify refuses it, and its files are looked at instead."""
    shut = lab.path("shut")
    os.makedirs(shut)
    with open(f"{shut}/policy", "w") as out:
        out.write(WEB)
    os.chmod(shut, 0o311)
    caps = "-dac_override,-dac_read_search"
    try:
        with watched(lab, before=("setpriv", "--inh-caps", caps, "--bounding-set", caps)) as web:
            web.load(f"{shut}/policy")
            web.says("policy.watch: 1 directories cannot be watched",
                     f"looked at every 2 s: {shut}: Permission denied (the daemon must be able to read the directory)")
            with open(f"{shut}/policy", "w") as out:
                out.write(WEB + inbound("MORE", 444, "web"))
            web.wait_for_generation(3)
            web.load(lab.path("httpd.policy"))
    finally:
        os.chmod(shut, 0o700)


def daemon_case(lab):
    """The daemon watches inside its sandbox, and keyrings of other users too."""
    config = lab.config("stack", WEB)
    with open(config) as text:
        lab.write("stack.yaml", text.read().replace("policy:\n", "policy:\n  watch: on\n")
                  + f'attach:\n  socket: "{lab.path("stack.attach")}"\n')
    for folder, _, names in os.walk(lab.path("rings")):
        for name in (".", *names):
            os.chown(os.path.join(folder, name), 65534, 65534)
    os.chmod(lab.path("rings"), 0o700)
    process = lab.start(lab.app("pel"), "stack", "--config", config, log="stack.log")
    try:
        lab.wait_for("the daemon", lambda: process.poll() is not None or "ready: " in lab.log_of(process), 20)
        for number, policy in ((2, WEB + inbound("MORE", 444, "web")), (3, WEB)):
            os.rename(lab.write("new.policy", policy), lab.path("stack.policy"))
            lab.wait_for("the load", lambda: f"policy generation {number}: " in lab.log_of(process))
        renew(lab)
        lab.wait_for("the load", lambda: "policy generation 4: " in lab.log_of(process))
        status = json.loads(lab.pel("policy", "status", "--json", "--socket", lab.path("stack.sock")).text)
        expect(status["how"] == "watch" and status["num_unusable"] == 0, str(status))
        has(lab.log_of(process), "sandbox: ")
        expect("refused system call" not in lab.log_of(process), lab.log_of(process))
        expect("cannot be watched" not in lab.log_of(process), lab.log_of(process))
    finally:
        lab.stop(process)
        for folder, _, names in os.walk(lab.path("rings")):
            for name in (".", *names):
                os.chown(os.path.join(folder, name), 0, 0)


# ---- programs that speak TLS of their own ----

def own_tls_case(lab):
    with Web(lab) as web:
        double, own, plain = web.hold(443, inner=True), web.hold(8080, inner=True), web.hold(443)
        lab.wait_for("what is said of them", lambda: web.pel("conns").text.count(" TLS ") >= 2)
        text = web.pel("conns").text
        expect(re.search(r" WEB +\S+ +SECURE, double TLS ", text), text)
        expect(re.search(r" - +- +CLEAR, its own TLS ", text), text)
        expect(lab.stat("double_tls") == 1 and lab.stat("own_tls") == 1, "counted otherwise")
        for client in (double, own, plain):
            lab.stop(client)


def cases(lab, reporter):
    prepare(lab)

    def case(name, run):
        shutil.rmtree(lab.ring("web"), ignore_errors=True)
        renew(lab)
        reporter.case(name, run)
    case("status shows rules, hits, certificates and ports without a rule", lambda: status_case(lab))
    case("a port without a rule is logged once a generation, with the command that says why", lambda: no_rule_case(lab))
    case("a load says what it changes, and reads keyrings again", lambda: load_case(lab))
    case("a load that is refused leaves what is in force, and is shown", lambda: refused_case(lab))
    case("100 loads under load: no request fails", lambda: load_under_load_case(lab))
    case("stale rules are shown as long as connections have them", lambda: stale_case(lab))
    case("the running stack says which rule a connection would get", lambda: match_live_case(lab))
    case("NOFLUSH: rules that are in no file any more stay as they were", lambda: kept_case(lab))
    case("keyrings that are PKCS#12 files, and their certificates in the status", lambda: pkcs12_case(lab))
    case("pel keyring tells the stack that uses the ring", lambda: keyring_case(lab))
    case("watching: a new certificate is served, a half of one is not", lambda: watch_certificates_case(lab))
    case("watching: files renamed, rewritten, removed, broken, and in bursts", lambda: watch_files_case(lab))
    case("watching: a file that is written slowly is taken when it is whole", lambda: half_written_case(lab))
    case("watching: links that are switched", lambda: watch_links_case(lab))
    case("watching: an agent's files", lambda: watch_agent_case(lab))
    case("watching: a policy that was no good at the start", lambda: start_without_case(lab))
    case("watching: a directory that cannot be", lambda: unwatchable_case(lab))
    case("watching: the daemon in its sandbox", lambda: daemon_case(lab))
    case("a program's own TLS is told, under TLS and in clear", lambda: own_tls_case(lab))


if __name__ == "__main__":
    sys.exit(main("reload", cases))
