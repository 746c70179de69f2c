#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""pel policy new, as it is typed: every application and side makes a policy that the strict check passes, with the ports and
the role of its row. Usage: policy_new_test.py PEL"""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

PEL = os.path.abspath(sys.argv.pop(1))
OFFICIAL = {"https": "443", "ldap": "636", "imap": "993", "pop3": "995", "submissions": "465", "ftps": "990", "tn3270": "992",
            "syslog": "6514", "amqp": "5671", "mqtt": "8883", "db2": "448", "jes-nje": "2252", "rrsf": "18136", "nss": "4159",
            "etcd": "2379", "sip": "5061", "dns": "853", "netconf": "6513", "oracle": "2484", "postgresql": "5432"}
WHEN_ASKED = "ApplicationControlled On: in clear until the program asks for TLS; one that never asks stays in clear"


def pel(*words):
    return subprocess.run([PEL, "policy", *words], capture_output=True, text=True, timeout=60, check=False)


class New(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory(prefix="pel-new-")
        self.file = self.dir.name + "/policy"

    def tearDown(self):
        self.dir.cleanup()

    def apps(self):
        return json.loads(pel("new", "--list", "--json").stdout)["apps"]

    def new(self, *words):
        """What is made; what the command says of it must be what the check says."""
        made = pel("new", *words)
        self.assertEqual(made.returncode, 0, (words, made.stderr))
        self.said = made.stderr
        return made.stdout

    def check(self, text, may_ask=False):
        """The strict check passes it, and the command says nothing, but that a program must ask for TLS where it must."""
        with open(self.file, "w", encoding="utf-8") as out:
            out.write(text)
        checked = pel("check", "--strict", self.file)
        said = [line.split(": ", 1)[1] for line in checked.stderr.splitlines() if ": note: " not in line]
        self.assertEqual((checked.returncode, said), (0, []), text)
        self.assertEqual(WHEN_ASKED in checked.stderr, may_ask)
        self.assertEqual(self.said, "")
        self.assertIn("ok, 1 rule, 0 warnings", checked.stdout)

    def test_every_application_and_side_passes_the_strict_check(self):
        num = 0
        for app in self.apps():
            for side in app["sides"]:
                text = self.new("--app", app["app"], "--side", side)
                self.check(text, app["tls"] == "when asked")
                self.assertIn(f"Direction {'Inbound' if side == 'server' else 'Outbound'}\n", text)
                role = "Client" if side == "client" else "ServerWithClientAuth" if app["client_certificate"] else "Server"
                self.assertIn(f"HandshakeRole {role}\n", text)
                self.assertEqual("ApplicationControlled On" in text, app["tls"] == "when asked")
                for ports in app["ports"].split():
                    self.assertRegex(text, rf"(PortRange|Port) {ports}\n")
                self.assertNotRegex(text, r"(TLSv1|TLSv1\.1|SSLv.) On")
                self.assertIn(f"Security level {app['level']}: ", text)
                num += 1
        self.assertGreaterEqual(num, 120)

    def test_the_list(self):
        apps = self.apps()
        self.assertGreaterEqual(len(apps), 60)
        names = [app["app"] for app in apps]
        self.assertEqual(len(names), len(set(names)))
        for name, port in OFFICIAL.items():
            self.assertEqual(apps[names.index(name)]["ports"], port, name)
        for app in apps:
            self.assertRegex(app["app"], r"^[a-z0-9-]{1,25}$")  # with "-server" it is a rule's name
            self.assertTrue(app["peer"].endswith("."), app["peer"])
        table = pel("new", "--list").stdout
        self.assertEqual(len(table.splitlines()), len(apps) + 1)
        found = pel("new", "--list", "mainframe")
        self.assertEqual((found.returncode, found.stderr),
                         (1, 'pel: no application has "mainframe" in its name or description\n'))
        self.assertEqual(len(pel("new", "--list", "MYSQL").stdout.splitlines()), 2)

    def test_services_agree(self):
        """Where /etc/services has the port under a name for TLS, the row says that it is registered for TLS."""
        services = {}
        with open("/etc/services", encoding="utf-8") as lines:
            for line in lines:
                match = re.match(r"(\S+)\s+(\d+)/tcp", line)
                if match:
                    services[match.group(2)] = match.group(1)
        for app in self.apps():
            name = services.get(app["ports"], "")
            if name in ("https", "ldaps", "imaps", "pop3s", "submissions", "ftps", "telnets", "nntps", "domain-s", "syslog-tls",
                        "sip-tls", "amqps"):
                self.assertEqual(app["ports_are"], "registered for TLS", app["app"])
            if app["ports_are"] == "registered" and app["ports"] in services:
                self.assertNotRegex(name, r"(ssl|tls)$")

    def test_options(self):
        text = self.new("--app", "HTTPS", "--port", "8443-8444", "--address", "192.0.2.0/24", "--name", "web_1", "--level",
                        "platinum", "--keyring", "root/web")
        self.check(text)
        for part in ("TTLSRule web_1\n", "  LocalAddr 192.0.2.0/24\n", "  LocalPortRange 8443-8444\n", "Keyring root/web\n",
                     "TLSv1.2 Off\n", "TLSv1.3 On\n", "V3CipherSuites4Char TLS_AES_256_GCM_SHA384\n"):
            self.assertIn(part, text)
        for level in ("Platinum", "Gold", "Silver", "Bronze"):
            self.check(self.new("--app", "mq", "--level", level))
        self.assertIn("Keyring *AUTH*/*\n", self.new("--app", "https", "--side", "client"))
        self.check(self.new("--app", "redis", "--side", "client", "--address", "2001:db8::1-2001:db8::f"))

    def test_a_file_is_not_replaced_unless_it_must(self):
        self.assertEqual(pel("new", "--app", "redis", "-o", self.file).returncode, 0)
        again = pel("new", "--app", "https", "-o", self.file)
        self.assertEqual((again.returncode, again.stderr),
                         (1, f"pel: {self.file}: there is such a file; --force replaces it\n"))
        forced = pel("new", "--app", "https", "-o", self.file, "--force", "--json")
        reply = json.loads(forced.stdout)
        with open(self.file, encoding="utf-8") as made:
            self.assertEqual(made.read(), reply["policy"])
        self.assertEqual((reply["rule"], reply["side"], reply["ports"]), ("https-server", "server", "443"))
        self.assertEqual(os.listdir(self.dir.name), ["policy"])
        self.assertEqual(pel("new", "--app", "https", "-o", "/none/such").returncode, 1)
        os.symlink("/dev/full", self.dir.name + "/full")
        self.assertEqual(pel("new", "--app", "https", "--force", "-o", self.dir.name + "/full").returncode, 1)

    def test_what_no_policy_takes_is_said(self):
        mapped = pel("new", "--app", "https", "--address", "::ffff:192.0.2.1", "-o", self.file)
        self.assertEqual(mapped.returncode, 1)
        self.assertIn("pel: --app https: error: LocalAddr", mapped.stderr)
        self.assertFalse(os.path.exists(self.file))
        reply = json.loads(pel("new", "--app", "https", "--address", "::ffff:192.0.2.1", "--json").stdout)
        self.assertEqual((reply["ok"], len(reply["diagnostics"])), (False, 1))

    def test_wrong_use_is_2(self):
        for words, said in (((), "give --app NAME, or --list"),
                            (("--app", "https", "--list"), "give --app NAME, or --list"),
                            (("--app", "postgres"), "no such application; did you mean postgresql?"),
                            (("--app", "qqqq"), "no such application (pel policy new --list)"),
                            (("--app", "https", "--side", "both"), "--side both: write server or client"),
                            (("--app", "cssmtp", "--side", "server"), "--side server: it is a client only"),
                            (("--app", "https", "--level", "Tin"), "--level Tin: write Platinum"),
                            (("--app", "https", "--level", "Clear"), "--level Clear: write Platinum"),
                            (("--app", "https", "--port", "0"), "--port 0: write a port"),
                            (("--app", "https", "--port", "9-8"), "--port 9-8: write a port"),
                            (("--app", "https", "--port", "80 443"), "--port 80 443: write a port"),
                            (("--app", "https", "--port", "99999"), "--port 99999: write a port"),
                            (("--app", "https", "--address", "6793"), "--address 6793: write an address"),
                            (("--app", "https", "--address", "1.2.3.4\n}"), "write an address"),
                            (("--app", "https", "--keyring", "a b"), "write RING"),
                            (("--app", "https", "--keyring", "a\n}"), "write RING"),
                            (("--app", "https", "--name", "x" * 33), "up to 32 characters"),
                            (("--app", "https", "--name", "{"), "up to 32 characters"),
                            (("--app", "https", "more"), "too many words")):
            wrong = pel("new", *words)
            self.assertEqual(wrong.returncode, 2, words)
            self.assertIn(said, wrong.stderr)
            self.assertEqual(wrong.stdout, "")


if __name__ == "__main__":
    unittest.main()
