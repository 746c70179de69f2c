#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""pel policy build and import, as they are typed: models make policies that the check passes, and back again; what cannot go
back is an error; hostile files end soon. Usage: policy_model_test.py PEL SOURCE_ROOT"""
import json
import os
import re
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import unittest

PEL = os.path.abspath(sys.argv.pop(1))
ROOT = os.path.abspath(sys.argv.pop(1))
EXAMPLE = ROOT + "/apps/pel/policy/examples/branch.yaml"
OWN = [ROOT + "/apps/pel/testdata/everything.policy", ROOT + "/policy/testdata/every.policy",
       ROOT + "/policy/testdata/warnings.policy"]
SHARED = [ROOT + "/../shared/policies/" + name for name in ("zosmf-client.policy", "generated-inline.policy")]

SMALL = """address_groups:
  - { name: lan, addresses: [ 10.0.0.0/8 ] }
traffic_descriptors:
  - { name: web, local_ports: [ 443 ], direction: inbound }
security_levels:
  - name: own
    versions: [ 1.2 ]
stacks:
  - name: s
    keyring: k
    connectivity_rules:
      - { name: r, remote: lan, traffic: web, security: own }
"""


def pel(*words, **more):
    return subprocess.run([PEL, "policy", *words], capture_output=True, text=True, timeout=120, check=False, **more)


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="pel-model-")

    def tearDown(self):
        shutil.rmtree(self.dir)

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb") as out:
            out.write(text if isinstance(text, bytes) else text.encode())
        return self.path(name)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as text:
            return text.read()

    def fine(self, *words):
        done = pel(*words)
        self.assertEqual(done.returncode, 0, (words, done.stderr))
        return done.stdout

    def fails(self, said, *words, status=1, **more):
        done = pel(*words, **more)
        self.assertEqual(done.returncode, status, (words, done.stderr))
        self.assertIn(said, done.stderr)
        return done


class Build(Case):
    def test_the_example(self):
        for stack, num in (("front", 5), ("lab", 2)):
            policy = self.path(stack + ".policy")
            said = self.fine("build", EXAMPLE, "--stack", stack, "-o", policy)
            self.assertIn(f'{policy}: {num} rules of stack "{stack}"', said)
            self.assertIn(f"{num} rules", self.fine("check", policy))
            text = self.read(stack + ".policy")
            self.assertTrue(text.startswith(f'# Built by pel policy build from branch.yaml, stack "{stack}".\n'))
            self.assertEqual(text, self.fine("build", EXAMPLE, "--stack", stack), "the same model makes the same text")
        self.assertIn('# Connectivity rule "branch-terminals", requirement map "terminals": traffic "tn3270-server", '
                      'security level "Silver".\nTTLSRule branch-terminals~tn3270-server\n', self.read("front.policy"))

    def test_what_the_example_says_of_connections(self):
        policy = self.path("front.policy")
        self.fine("build", EXAMPLE, "--stack", "front", "-o", policy)
        self.assertIn("7 cases, 0 failed", self.fine("test", policy, ROOT + "/apps/pel/policy/examples/front.cases.yaml"))

    def test_what_the_document_shows(self):
        with open(ROOT + "/docs/POLICY-MODEL.md", encoding="utf-8") as text:
            model, cases = re.findall(r"```yaml\n(.*?)```", text.read(), re.DOTALL)
        self.fine("build", "--strict", self.write("branch.yaml", model), "-o", self.path("front.policy"))
        self.fine("check", "--strict", self.path("front.policy"))
        self.assertIn("2 cases, 0 failed", self.fine("test", self.path("front.policy"), self.write("c.yaml", cases)))
        moved = pel("test", self.path("front.policy"), self.write("c.yaml", cases.replace("10.20.7.8", "10.30.7.8"))).stdout
        self.assertIn("c.yaml:2: a terminal of a branch: expected rule branch-terminals~tn3270-server, tls, HandshakeRole Server, "
                      "TLSv1.1 Off, TLSv1.3 On; got no rule, clear (no rule): branch-terminals~tn3270-server: remote address "
                      "10.30.7.8 is not 10.20.0.0/16, 10.31.4.1-10.31.4.99 or 2001:db8:20::/48\n", moved)

    def test_every_predefined_level_passes_the_strict_check(self):
        for level in ("Platinum", "Gold", "Silver", "Bronze", "Clear", "gold"):
            model = self.write("m.yaml", SMALL.replace("security: own", "security: " + level).replace(
                "security_levels:\n  - name: own\n    versions: [ 1.2 ]\n", ""))
            self.fine("build", "--strict", model, "-o", self.path("p"))
            self.fine("check", "--strict", self.path("p"))
            self.assertNotRegex(self.read("p"), "(TLSv1|TLSv1.1) On|RC4|3DES|NULL")

    def test_stacks(self):
        self.fails("the model has 2 stacks: choose one with --stack NAME", "build", EXAMPLE)
        self.fails('there is no stack "fromt"; did you mean "front"?', "build", EXAMPLE, "--stack", "fromt")

    def test_json(self):
        reply = json.loads(self.fine("build", EXAMPLE, "--stack", "lab", "--json"))
        self.assertEqual((reply["ok"], reply["rules"], reply["stack"]), (True, 2, "lab"))
        self.assertIn("TTLSRule lab-mail\n", reply["policy"])
        bad = pel("build", self.write("m.yaml", SMALL.replace("remote: lan", "remote: lam")), "--json")
        reply = json.loads(bad.stdout)
        self.assertEqual((bad.returncode, bad.stderr, reply["ok"]), (1, "", False))
        self.assertEqual((reply["diagnostics"][0]["line"], reply["diagnostics"][0]["severity"]), (12, "error"))

    def test_errors_of_the_policy_have_the_lines_of_the_model(self):
        for old, new, said in (
                ("[ 1.2 ]", "[ 1.2 ]\n    ciphers: [ TLS_AES_128_GCM_SHA256, TLS_NOPE ]",
                 'm.yaml:8:40: error: V3CipherSuites4Char: unknown cipher suite "TLS_NOPE"'),
                ("[ 1.2 ]", "[ 1.2 ]\n    advanced: [ TLSv1.2 On, Foo Bar ]", 'm.yaml:8:29: error: unknown parameter "Foo"'),
                ("[ 1.2 ]", "[ 1.2 ]\n    advanced: [ TLSv1.2 On ]", "TLSv1.2 is given twice; the one on line 7 is ignored"),
                ("remote: lan", "remote: lan, trace: 256", "m.yaml:12:40: error: Trace: 256 is out of range (0 to 255)"),
                ("443 ]", "443 ], handshake_timeout_s: 601", "m.yaml:4:61: error: HandshakeTimeout: 601"),
                ("443 ]", "443 ], job: " + "j" * 33, "m.yaml:4:5: error: Jobname"),
                ("[ 1.2 ]", "[ 1.0, 1.1, 1.2 ]", "m.yaml:7:15: warning: TLSv1 On: TLS 1.0 is weak"),
                ("remote: lan, ", "", 'm.yaml:2:5: warning: address group "lan" is not used')):
            model = self.write("m.yaml", SMALL.replace(old, new, 1))
            self.fails(said, "build", "--strict", model, "-o", self.path("p"))
            self.assertFalse(os.path.exists(self.path("p")), "nothing is written")

    def test_wrong_use_is_2(self):
        self.fails("name a model's file", "build", status=2)
        self.fails("name one model", "build", "a", "b", status=2)
        self.fails("unrecognized option", "build", "--nope", status=2)

    def test_many_rules_in_bounded_time(self):
        rules = "".join(f"      - {{ name: r{i}, remote: 10.{i >> 8}.{i & 255}.0/24, traffic: web, security: own }}\n"
                        for i in range(10000))
        model = self.write("m.yaml", SMALL[:SMALL.index("      - {")] + rules)
        begin = time.monotonic()
        self.fine("build", model, "-o", self.path("p"))
        self.assertLess(time.monotonic() - begin, 60)
        self.assertIn("10000 rules", self.fine("check", self.path("p")))


class Hostile(Case):
    def refuse(self, said, text, limit_mb=256):
        """An error with a place, in 20 s and with 256 MB."""
        def bound():
            if os.environ.get("ASAN_OPTIONS") is None and "asan" not in PEL:
                resource.setrlimit(resource.RLIMIT_DATA, (limit_mb << 20, limit_mb << 20))
        begin = time.monotonic()
        for verb in (("build",), ("test", OWN[1])):
            name = self.write("m.yaml", text)
            done = pel(*verb, name, preexec_fn=bound)
            self.assertEqual(done.returncode, 1, done.stderr[:300])
            self.assertIn(said, done.stderr)
            self.assertIn(name, done.stderr)
            self.assertLess(len(done.stderr), 100000)
        self.assertLess(time.monotonic() - begin, 20)

    def test_texts(self):
        self.refuse("m.yaml:1:1: error: the file is empty", "")
        self.refuse("control characters are not allowed", b"a: \0")
        self.refuse("invalid leading UTF-8 octet", b"a: \xff")
        self.refuse("m.yaml:", os.urandom(100000))
        self.refuse("keys with their values are expected here", "- " * 1000000)
        self.refuse("m.yaml:", "stacks: " + "[" * 1000000 + "\n")
        self.refuse("m.yaml:", "stacks:" + "".join("\n" + " " * i + "- a:" for i in range(1, 2000)))
        self.refuse("m.yaml:", "{" * 1000000)
        self.refuse("longer than 16 MiB", "# " + "x" * (16 << 20))
        self.refuse("keys with their values are expected here", "x" * (15 << 20) + ": y")
        self.refuse("Unexpected key: stocks", "stocks: " + "x" * (15 << 20))
        bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n"
                                                    for i in range(20))
        self.refuse("m.yaml:1:1: error: Unexpected key: a", bomb)

    def test_what_is_no_file(self):
        self.fails("No such file or directory", "build", self.path("none"))
        self.fails("not a regular file", "build", self.dir)
        os.mkfifo(self.path("fifo"))
        self.fails("not a regular file", "build", self.path("fifo"))
        self.fails("not a regular file", "build", "/dev/zero")
        self.fails("fifo: ", "import", self.path("fifo"))
        self.fails("a directory", "import", self.dir)

    def test_twenty_thousand_mistakes(self):
        model = self.write("m.yaml", "address_groups:\n" + "  - { name: a, addresses: [ x ] }\n" * 20000 + "stacks: []\n")
        done = self.fails("that is the hundredth of its kind: no more are shown", "build", model)
        self.assertLess(len(done.stderr.splitlines()), 110)

    def test_nothing_is_injected(self):
        evil = "x\nTTLSRule evil"
        for old, new in (("name: r,", f"name: {json.dumps(evil)},"), ("keyring: k", f"keyring: {json.dumps(evil)}"),
                         ("name: web,", f"name: {json.dumps(evil)},"), ("versions: [ 1.2 ]", f"gsk: [ {json.dumps(evil)} ]"),
                         ("remote: lan", f"remote: lan, certificate_label: {json.dumps(evil)}"),
                         ("name: s\n", f"name: {json.dumps(evil)}\n"), ("versions: [ 1.2 ]", 'group: [ "Trace 1 }" ]')):
            self.fails("error: ", "build", self.write("m.yaml", SMALL.replace(old, new, 1)))
        text = self.fine("build", self.write(evil, SMALL))
        self.assertEqual(text.count("\nTTLSRule "), 1)


class Import(Case):
    def is_same(self, before, after):
        diff = pel("diff", "--exit-code", before, after)
        self.assertEqual((diff.returncode, diff.stderr), (0, ""), diff.stdout)

    def round_trip(self, policy):
        self.fine("import", policy, "-o", self.path("m.yaml"), "--force")
        self.fine("build", self.path("m.yaml"), "-o", self.path("again"))
        self.is_same(policy, self.path("again"))
        os.makedirs(self.path("two"), exist_ok=True)
        self.fine("import", self.path("again"), "-o", self.path("two/m.yaml"), "--force")
        self.assertEqual(self.read("again"), self.fine("build", self.path("two/m.yaml")), "the same text the second time")

    def test_own_policies(self):
        for policy in OWN:
            with self.subTest(policy):
                self.round_trip(policy)

    def test_published_policies(self):
        for policy in SHARED:
            if not os.path.exists(policy):
                self.skipTest(policy + " is not there")
            with self.subTest(policy):
                self.round_trip(policy)

    def test_models_that_were_built_build_the_same_again(self):
        for stack in ("front", "lab"):
            self.fine("build", EXAMPLE, "--stack", stack, "-o", self.path("p"))
            self.fine("import", self.path("p"), "-o", self.path("branch.yaml"), "--force")
            self.assertEqual(self.read("p"), self.fine("build", self.path("branch.yaml")))
        self.assertIn("requirement_map", self.fine("import", self.build_front()))

    def build_front(self):
        self.fine("build", EXAMPLE, "--stack", "front", "-o", self.path("front"))
        return self.path("front")

    def test_comments_that_lie_are_not_believed(self):
        """The text was changed by hand after it was built: what counts is what it does."""
        policy = self.build_front()
        text = self.read("front")
        for old, new in (("RemotePortRange 448", "RemotePortRange 449"),
                         ("TTLSRule branch-terminals~tn3270-server", "TTLSRule other-name"),
                         ('# Connectivity rule "partner-orders"', '# Connectivity rule "branch-terminals"'),
                         ("Priority 50", "Priority 5"), ("    TLSv1.3 On", "    TLSv1.3 Off"),
                         ('requirement map "terminals": traffic "https-server"', 'requirement map "backend": traffic "x"')):
            self.assertIn(old, text)
            self.write("front", text.replace(old, new, 1))
            self.fine("import", policy, "-o", self.path("m.yaml"), "--force")
            self.fine("build", self.path("m.yaml"), "-o", self.path("again"))
            self.is_same(policy, self.path("again"))

    def test_every_new_policy_goes_there_and_back(self):
        for app in json.loads(self.fine("new", "--list", "--json"))["apps"][::9]:
            for side in app["sides"]:
                self.fine("new", "--app", app["app"], "--side", side, "-o", self.path("p"), "--force")
                self.round_trip(self.path("p"))

    SERVER = """TTLSRule web
{
  LocalPortRange 443
  Direction Inbound
  TTLSGroupAction
  {
    TTLSEnabled On
  }
  TTLSEnvironmentAction
  {
    HandshakeRole Server
    TTLSKeyringParms
    {
      Keyring web
    }
%s  }
}
"""

    def test_suites_of_ssl2_make_no_difference(self):
        policy = self.write("p", self.SERVER % "    TTLSCipherParms\n    {\n      V2CipherSuites 6\n      V3CipherSuites4Char C02F\n    }\n")
        self.assertNotIn("V2CipherSuites", self.fine("import", policy))

    def test_lists_are_kept_with_what_a_profile_leaves_out(self):
        lists = ("    TTLSCipherParms\n    {\n      V3CipherSuites4Char 1303C02F002F\n    }\n"
                 "    TTLSSignatureParms\n    {\n      ServerKeyShareGroups 00290023\n    }\n")
        policy = self.write("p", (self.SERVER % lists).replace("TTLSEnabled On\n", "TTLSEnabled On\n    FIPS140 On\n"))
        self.round_trip(policy)
        model = self.fine("import", policy)
        self.assertIn("TLS_CHACHA20_POLY1305_SHA256", model)
        self.assertIn("ServerKeyShareGroups 0029 0023", model)
        self.assertNotIn("SignaturePairs", model)

    def test_whose_defaults_hold(self):
        policy = self.write("p", self.SERVER % "")
        for compat in ("zos", "pellucid"):
            self.fine("import", policy, "--compat", compat, "-o", self.path("m.yaml"), "--force")
            self.fine("build", self.path("m.yaml"), "-o", self.path("again"))
            self.assertEqual(self.fine("diff", "--compat", compat, policy, self.path("again")), "")
            shown = json.loads(self.fine("show", "--json", "--all", self.path("again")))["rules"][0]["settings"]
            on = [setting["name"] for setting in shown if setting["name"].startswith("TLSv1") and setting["values"] == ["On"]]
            self.assertEqual(on, ["TLSv1", "TLSv1.1"] if compat == "zos" else ["TLSv1.2", "TLSv1.3"])
        self.fails("is not pellucid or zos", "import", policy, "--compat", "os2", status=2)

    def test_what_a_model_cannot_express(self):
        rule = 'TTLSRule {}\n{{\n  RemotePortRange 1\n  Direction Outbound\n  TTLSGroupAction\n  {{\n    TTLSEnabled Off\n{}  }}\n}}\n'
        lost = self.write("p", rule.format("a", "    TTLSGroupAdvancedParms\n    {\n      SecondaryMap On\n    }\n"))
        self.fails('TTLSRule "a": a model cannot express SecondaryMap', "import", lost, "-o", self.path("m.yaml"))
        quoted = self.write("p", rule.format('a"b', ""))
        self.fails("a model cannot express it: ", "import", quoted, "-o", self.path("m.yaml"))
        many = "".join(f"TTLSRule r{i}\n{{\n  RemotePortRange 1\n  Jobname j{i}\n  Direction Outbound\n  TTLSGroupActionRef o\n}}\n"
                       for i in range(90000)) + "TTLSGroupAction o\n{\n  TTLSEnabled Off\n}\n"
        self.fails("its model would be longer than 16 MiB", "import", self.write("p", many), "-o", self.path("m.yaml"))
        self.fails("there is no rule to import", "import", self.write("p", "# nothing\n"))
        self.assertFalse(os.path.exists(self.path("m.yaml")), "nothing is written")
        reply = json.loads(pel("import", quoted, "--json").stdout)
        self.assertEqual((reply["ok"], len(reply["diagnostics"])), (False, 1))

    def test_passwords_are_for_the_owner_alone(self):
        model = self.write("m.yaml", SMALL.replace("    keyring: k\n", "    keyring: k\n    keyring_password: topsecret\n"))
        self.fine("build", model, "-o", self.path("p"))
        self.assertIn("KeyringPw topsecret", self.read("p"))
        self.assertEqual(stat.S_IMODE(os.stat(self.path("p")).st_mode), 0o600)
        self.fine("build", self.write("n.yaml", SMALL), "-o", self.path("q"))
        self.assertEqual(stat.S_IMODE(os.stat(self.path("q")).st_mode), 0o644)

    def test_what_is_read_is_not_overwritten(self):
        model, policy = self.write("m.yaml", SMALL), self.path("p")
        self.fine("build", model, "-o", policy)
        os.symlink(model, self.path("link"))
        for words in (("build", model, "-o", model), ("build", model, "-o", self.path("link")), ("compile", policy, "-o", policy)):
            self.fails("this file is read, and would be overwritten: name another one", *words)
        agent, cases = self.write("agent", f"TTLSConfig {policy}\n"), self.write("c.yaml", "cases: []\n")
        for words in (("compile", agent, "-o", policy), ("test", "--junit", policy, policy, cases), ("test", "--junit", cases, policy, cases)):
            self.fails("this file is read, and would be overwritten: name another one", *words)
        self.assertEqual((self.read("m.yaml"), self.read("c.yaml")), (SMALL, "cases: []\n"))
        self.assertIn("TTLSRule", self.read("p"))

    def test_what_cannot_be_written_is_a_failure(self):
        policy = self.path("p")
        self.fine("build", self.write("m.yaml", SMALL), "-o", policy)
        for words in (("fmt", policy), ("show", policy), ("check", policy), ("check", "--json", policy), ("new", "--list"), ("--help",),
                      ("match", policy, "--direction", "inbound", "--local", "1.1.1.1:443", "--remote", "10.0.0.1:1")):
            with open("/dev/full", "w", encoding="utf-8") as full:
                done = subprocess.run([PEL, "policy", *words], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
            self.assertEqual((done.returncode, "stdout: No space left on device" in done.stderr), (1, True), f"{words}: {done.stderr}")

    def test_a_policy_with_errors(self):
        bad = self.write("p", "TTLSRule a\n{\n  Directoin Both\n}\n")
        done = self.fails('p:3:3: error: unknown parameter "Directoin"', "import", bad)
        self.assertIn("nothing is written", done.stderr)

    def test_files(self):
        model = self.path("m.yaml")
        self.fine("import", OWN[0], "-o", model)
        self.assertEqual(stat.S_IMODE(os.stat(model).st_mode), 0o600, "it holds a password")
        self.fails("there is such a file; --force replaces it", "import", OWN[0], "-o", model)
        self.fails("name a policy file", "import", status=2)
        self.fails("name one policy", "import", "a", "b", status=2)
        self.assertIn("- name: here\n", self.fine("import", OWN[0], "--stack", "here"))
        reply = json.loads(self.fine("import", OWN[0], "--json"))
        self.assertEqual((reply["ok"], reply["rules"]), (True, 5))


if __name__ == "__main__":
    unittest.main()
