#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""pel policy test, as it is typed: what it says of cases that fail, and why. Usage: policy_cases_test.py PEL SOURCE_ROOT"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

PEL = os.path.abspath(sys.argv.pop(1))
ROOT = os.path.abspath(sys.argv.pop(1))
POLICY = """TTLSRule web
{
  LocalPortRange 443-444
  Direction Inbound
  Userid www*
  Priority 20
  TTLSGroupActionRef on
  TTLSEnvironmentActionRef server
}
TTLSRule all
{
  LocalPortRange 440-450
  Direction Inbound
  Priority 10
  TTLSGroupAction
  {
    TTLSEnabled Off
  }
}
TTLSRule behind
{
  LocalPortRange 445
  Direction Inbound
  Priority 5
  TTLSGroupActionRef on
  TTLSEnvironmentActionRef server
}
TTLSGroupAction on
{
  TTLSEnabled On
}
TTLSEnvironmentAction server
{
  HandshakeRole Server
  TTLSKeyringParms
  {
    Keyring web
  }
  TTLSCipherParms
  {
    V3CipherSuites4Char 13011302
  }
}
"""
HEAD = "  - { name: a case, direction: inbound, local: 192.0.2.1:443, remote: 198.51.100.1:50000, user: www-data, "

# What the case expects, and all that is said of it; None: it passes.
CASES = [
    ("rule: web, verdict: tls", None),
    ("verdict: tls", None),
    ("rule: none", "expected no rule; got rule web, tls: web matches"),
    ("rule: all", "expected rule all; got rule web, tls: all matches too, but is tried behind it"),
    ("rule: wep", "expected rule wep; got rule web, tls: the policy has no rule wep; did you mean web?"),
    ("verdict: clear", "expected clear; got rule web, tls: that is what rule web says"),
    ("rule: web, verdict: clear", "expected rule web, clear; got rule web, tls: that is what rule web says"),
    ("settings: [ TLSv1.3 Off ]", "expected TLSv1.3 Off; got rule web, tls: TLSv1.3 is On, from default"),
    ("settings: [ tlsv1.3 on, HandshakeRole Server, V3CipherSuites4Char TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384 ]", None),
    ("rule: web, settings: [ Keyring wep ]",
     'expected rule web, Keyring wep; got rule web, tls: Keyring is web, from TTLSKeyringParms'),
    ("settings: [ V3CipherSuites4Char TLS_AES_256_GCM_SHA384 ]", "is TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384, from "),
    ("settings: [ V3CipherSuites4Char 13011302 ]", None),
    ("settings: [ V3CipherSuites4Char 1301 tls_aes_256_gcm_sha384 ]", None),
    ("settings: [ V3CipherSuites4Char 13021301 ]", "is TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384, from "),
    ("settings: [ V3CipherSuites4Char 13011302C023 ]", "is TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384, from "),
    ("settings: [ LocalPortRange 443:444, Priority 020, Userid WWW*, trace 2 ]", None),
    ("settings: [ LocalPortRange 443 444 ]", None),
    ("settings: [ LocalPortRange 443 ]", "LocalPortRange is 443-444, from "),
    ("settings: [ Keyring WEB ]", "Keyring is web, from "),
    ("settings: [ Jobname none, ServerCertificateLabel none ]", None),
    ("settings: [ CertificateLabel none ]", "CertificateLabel is the ring's default, from default"),
    ("settings: [ CertificateLabel ]", "CertificateLabel is the ring's default, from default"),
    ("settings: [ ClientECurves 0029002300240025, ServerKexECurves 0029 0023 0024 0025 ]", None),
    ("settings: [ TLSv1.2 On ]", "TLSv1.2 is Off, from default"),
    ("settings: [ TLSv1.4 On ]", "expected TLSv1.4 On; got rule web, tls: web has no setting TLSv1.4"),
    ("user: bob, rule: web", 'expected rule web; got rule all, clear: web: user "bob" is not www*'),
    ("user: bob, verdict: tls", "expected tls; got rule all, clear: that is what rule all says"),
    ("local: \"[2001:db8::1]:445\", rule: behind", "got rule all, clear: behind matches too, but is tried behind it"),
    ("local: 192.0.2.1:80, verdict: tls", "expected tls; got no rule, clear (no rule): no rule matches"),
    ("local: 192.0.2.1:80, rule: none, verdict: clear (no rule)", None),
    ("local: 192.0.2.1:80, settings: [ TLSv1.2 On ]", "expected TLSv1.2 On; got no rule, clear (no rule): no rule, no settings"),
    ("direction: outbound, rule: web", "got no rule, clear (no rule): web: outbound"),
]
WRONG = [
    ("", "cases.yaml:1:1: error: the file is empty"),
    ("cases: []\n", "cases.yaml:1:8: error: cases: write at least one"),
    ("cases:\n  - { name: a }\n", "cases.yaml:2:5: error: direction is missing"),
    ("cases:\n  - { direction: inbound }\n", "cases.yaml:2:5: error: name is missing"),
    ("cases:\n" + HEAD + "rule: web, verdikt: tls }\n", "Unexpected key: verdikt"),
    ("cases:\n" + HEAD + "verdict: TLS }\n", 'verdict: "TLS" is not tls, tls when asked, clear or clear (no rule)'),
    ("cases:\n" + HEAD.replace("inbound", "in") + "rule: web }\n", '2:32: error: direction: "in" is not inbound or outbound'),
    ("cases:\n" + HEAD.replace(":443", "") + "rule: web }\n", 'local: "192.0.2.1" is not ADDR:PORT'),
    ("cases:\n" + HEAD.replace("198.51.100.1:50000", "mars:1") + "rule: web }\n", 'remote: "mars:1" is not ADDR:PORT'),
    ("cases:\n" + HEAD + "time: noon, rule: web }\n", 'time: "noon" is not a time such as 2026-03-29T02:30:00Z'),
    ("cases:\n" + HEAD + "}\n", "nothing is expected: write rule, verdict or settings"),
    ("cases:\n" + HEAD + "settings: [ TLSv1.3 ] }\n", 'settings: "TLSv1.3" is not a parameter and its value'),
]


def case_of(text):
    """The head with what the case says instead of it."""
    fields = dict(part.split(": ", 1) for part in HEAD.strip(" -{").rstrip(", ").split(", "))
    for key in ("direction", "local", "user"):
        if text.startswith(key + ": "):
            fields[key], text = text[len(key) + 2:].split(", ", 1)
    return "  - { " + ", ".join(f"{key}: {value}" for key, value in fields.items()) + ", " + text + " }\n"


class Test(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="pel-cases-")
        self.policy = self.write("policy", POLICY)

    def tearDown(self):
        shutil.rmtree(self.dir)

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        return path

    def run_test(self, cases, *options, policy=None):
        path = self.write("cases.yaml", cases)
        return subprocess.run([PEL, "policy", "test", *options, policy or self.policy, path], capture_output=True, text=True,
                              timeout=60, check=False, cwd=self.dir)

    def test_one_by_one(self):
        for text, said in CASES:
            with self.subTest(text):
                done = self.run_test("cases:\n" + case_of(text))
                self.assertEqual(done.stderr, "")
                lines = done.stdout.splitlines()
                if said is None:
                    self.assertEqual((done.returncode, lines), (0, [f"{self.dir}/cases.yaml: 1 case, 0 failed"]))
                    continue
                self.assertEqual((done.returncode, len(lines)), (1, 2), done.stdout)
                self.assertTrue(lines[0].startswith(f"{self.dir}/cases.yaml:2: a case: expected "), lines[0])
                self.assertIn(said, lines[0])
                self.assertEqual(lines[1], f"{self.dir}/cases.yaml: 1 case, 1 failed")

    def test_values_that_are_given(self):
        """Labels, names and lists as a policy writes them; each line with what is said when it fails."""
        advanced = "  TTLSEnvironmentAdvancedParms\n  {\n    %s\n  }\n  TTLSSignatureParms\n  {\n    ClientECurves 00240023\n  }\n"
        for coded, setting, said in (
                ("CertificateLabel none", "CertificateLabel none", None), ("CertificateLabel none", "CertificateLabel", None),
                ("CertificateLabel", "certificatelabel NONE", None), ("CertificateLabel web", "CertificateLabel web", None),
                ("CertificateLabel web", "CertificateLabel WEB", "CertificateLabel is web, from "),
                ("CertificateLabel none", "CertificateLabel web", "CertificateLabel is none, from TTLSEnvironmentAdvancedParms"),
                ("CertificateLabel web", "CertificateLabel none", "CertificateLabel is web, from "),
                ("ServerCertificateLabel one label", "ServerCertificateLabel one label", None),
                ("ServerCertificateLabel a\n    ServerCertificateLabel b c", "ServerCertificateLabel a b c", None),
                ("ServerCertificateLabel a\n    ServerCertificateLabel b c", "ServerCertificateLabel a B c", "is a b c, from "),
                ("HostReferenceIdDNS db.example", "HostReferenceIdDNS db.example", None),
                ("SSLv2 Off", "ClientECurves 00240023", None), ("SSLv2 Off", "ClientECurves 0024 0023", None),
                ("SSLv2 Off", "ClientECurves 00230024", "ClientECurves is 0024 0023, from ")):
            with self.subTest((coded, setting)):
                policy = POLICY.replace("  TTLSCipherParms\n", advanced % coded + "  TTLSCipherParms\n")
                done = self.run_test("cases:\n" + case_of(f"settings: [ {setting} ]"), policy=self.write("labels", policy))
                self.assertEqual((done.returncode, done.stderr), (0 if said is None else 1, ""), done.stdout)
                self.assertIn(said or "0 failed", done.stdout)

    def test_what_a_profile_leaves_out_does_not_hold(self):
        policy = self.write("fips", POLICY.replace("  TTLSEnabled On\n", "  TTLSEnabled On\n  FIPS140 On\n").replace(
            "13011302", "1303C02F002F").replace("  TTLSCipherParms", "  TTLSSignatureParms\n  {\n    ServerKeyShareGroups 00290023\n  }\n"
                                                "  TTLSCipherParms"))
        for setting, said in (("V3CipherSuites4Char 1303C02F002F", "is TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, from "),
                              ("V3CipherSuites4Char C02F", None), ("V3CipherSuites 35", "is TLS_ECDHE_RSA"), ("ServerKeyShareGroups 00290023", "is 0023, from "),
                              ("ServerKeyShareGroups 0023", None), ("TLSv1.3 On", "TLSv1.3 is Off, from "),
                              ("ServerKexECurves 002300240025", None), ("PeerMinRsaKeySize 1024", "is 2048, from FIPS140")):
            with self.subTest(setting):
                done = self.run_test("cases:\n" + case_of(f"settings: [ {setting} ]"), policy=policy)
                self.assertEqual((done.returncode, done.stderr), (0 if said is None else 1, ""), done.stdout)
                self.assertIn(said or "0 failed", done.stdout)

    def all_cases(self):
        return "cases:\n" + "".join(case_of(text) for text, _ in CASES)

    def test_json(self):
        num_failed = sum(said is not None for _, said in CASES)
        done = self.run_test(self.all_cases(), "--json")
        reply = json.loads(done.stdout)
        self.assertEqual((done.returncode, reply["ok"], reply["failed"], reply["passed"]),
                         (1, False, num_failed, len(CASES) - num_failed))
        self.assertEqual([row["ok"] for row in reply["cases"]], [said is None for _, said in CASES])
        self.assertEqual({key: reply["cases"][2][key] for key in ("name", "line", "expected", "rule", "verdict", "why")},
                         {"name": "a case", "line": 4, "expected": "no rule", "rule": "web", "verdict": "tls",
                          "why": "web matches"})
        self.assertIsNone(reply["cases"][-1]["rule"])
        fine = json.loads(self.run_test("cases:\n" + case_of("rule: web"), "--json").stdout)
        self.assertEqual((fine["ok"], fine["failed"]), (True, 0))

    def test_junit(self):
        path = os.path.join(self.dir, "junit.xml")
        cases = self.all_cases().replace("name: a case", 'name: "a <case> & \\"more\\""', 1)
        self.assertEqual(self.run_test(cases, "--junit", path).returncode, 1)
        suite = xml.etree.ElementTree.parse(path).getroot()
        self.assertEqual((suite.get("tests"), suite.get("failures")),
                         (str(len(CASES)), str(sum(said is not None for _, said in CASES))))
        self.assertEqual(suite[0].get("name"), 'a <case> & "more"')
        self.assertEqual(suite[2][0].get("message"), "expected no rule; got rule web, tls")
        self.assertEqual(suite[2][0].text, "web matches")
        self.assertEqual(self.run_test("cases:\n" + case_of("rule: web"), "--junit", "/none/such").returncode, 1)

    def test_wrong_cases(self):
        for text, said in WRONG:
            with self.subTest(said):
                done = self.run_test(text)
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                self.assertIn(said, done.stderr)
        reply = json.loads(self.run_test(WRONG[1][0], "--json").stdout)
        self.assertEqual((reply["ok"], reply["diagnostics"][0]["line"]), (False, 1))

    def test_wrong_policies_and_wrong_use(self):
        done = self.run_test("cases:\n" + case_of("rule: web"), policy=self.write("bad", "TTLSRule x\n{\n}\n"))
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("/bad:1:1: error: ", done.stderr)
        done = self.run_test("cases:\n" + case_of("rule: web"), policy=self.dir + "/none")
        self.assertEqual(done.returncode, 1)
        for words in ((), ("only-one",), ("--nope", "a", "b")):
            done = subprocess.run([PEL, "policy", "test", *words], capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual((done.returncode, done.stdout), (2, ""))

    def test_several_files_are_one_policy(self):
        data = ROOT + "/policy/testdata/"
        done = subprocess.run([PEL, "policy", "test", data + "rules.policy", data + "actions.policy",
                               self.write("c.yaml", "cases:\n" + case_of("local: 192.0.2.1:1, rule: none"))],
                              capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)


if __name__ == "__main__":
    unittest.main()
