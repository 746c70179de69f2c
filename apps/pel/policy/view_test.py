#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""pel policy match, show, fmt, diff and compile, as they are typed. Usage: policy_view_test.py PEL"""
import json
import os
import stat
import subprocess
import sys
import tempfile
import unittest

PEL = os.path.abspath(sys.argv.pop(1))

POLICY = """\
# A site.
TTLSRule Web
{
  LocalPortRange 443-444
  RemoteAddr 10.0.0.0/8
  Direction Inbound
  Priority 9
  TTLSGroupActionRef On
  TTLSEnvironmentActionRef Server
}

TTLSRule Late
{
  LocalPortRange 443
  Userid IBMUSER*
  Jobname ftp
  Direction Both
  TTLSGroupActionRef On
  TTLSEnvironmentAction Asked
  {
    HandshakeRole Client
    TTLSKeyringParmsRef Ring
    TTLSEnvironmentAdvancedParms
    {
      ApplicationControlled On  # by STARTTLS
    }
  }
}

TTLSRule Plain
{
  RemoteAddr 2001:db8::/32
  Direction Outbound
  TTLSGroupAction
  {
    TTLSEnabled Off
  }
}

TTLSGroupAction On
{
  TTLSEnabled On
}

TTLSEnvironmentAction Server
{
  HandshakeRole Server
  TTLSKeyringParmsRef Ring
}

TTLSKeyringParms Ring
{
  Keyring web
}
# The end.
"""
SECRET = POLICY.replace("Keyring web\n", "Keyring /site.p12\n  KeyringPw hush\n")


def pel(*words):
    return subprocess.run([PEL, "policy", *words], capture_output=True, text=True, timeout=60, check=False)


class View(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory(prefix="pel-view-")
        self.policy = self.write("policy", POLICY)

    def tearDown(self):
        self.dir.cleanup()

    def write(self, name, text):
        path = os.path.join(self.dir.name, name)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        return path

    def read(self, path):
        with open(path, encoding="utf-8") as file:
            return file.read()

    def fine(self, *words):
        done = pel(*words)
        self.assertEqual((done.returncode, done.stderr), (0, ""), words)
        return done.stdout

    def compile(self, *words):
        """What is said of the image; the text's warnings are the business of one test."""
        done = pel("compile", *words)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def match(self, direction, local, remote, *more):
        return self.fine("match", self.policy, "--direction", direction, "--local", local, "--remote", remote, *more)

    def test_match(self):
        self.assertEqual(self.match("inbound", "10.9.9.9:443", "10.1.1.1:5000"), "rule Web\ntls\n")
        self.assertEqual(self.match("inbound", "10.9.9.9:443", "1.1.1.1:5000", "--user", "ibmuser1", "--job", "FTP"),
                         "rule Late\ntls when asked\n")
        self.assertEqual(self.match("outbound", "[::]:5000", "[2001:db8::5]:443"), "rule Plain\nclear\n")
        self.assertEqual(self.match("outbound", "10.9.9.9:5000", "1.1.1.1:443"), "no rule\nclear (no rule)\n")
        self.assertEqual(self.match("INBOUND", "10.9.9.9:443", "10.1.1.1:1", "--time", "2026-03-29T02:30:00+02:00"),
                         "rule Web\ntls\n")

    def test_match_why(self):
        said = self.match("inbound", "10.9.9.9:8443", "10.1.1.1:5000", "--user", "bob", "--why")
        self.assertEqual(said, "no rule\nclear (no rule)\n\nThe rules, in the order in which they are tried:\n"
                               "  Web: local port 8443 is not 443-444\n"
                               "  Late: local port 8443 is not 443\n"
                               "  Plain: inbound, not Outbound\n")
        said = self.match("inbound", "10.9.9.9:443", "10.1.1.1:5000", "--user", "bob", "--job", "ftp", "--why")
        self.assertIn("  Web: matches\n  Late: not reached (user \"bob\" is not IBMUSER*)\n", said)
        said = self.match("inbound", "10.9.9.9:443", "10.1.1.1:5000", "--user", "ibmuser", "--job", "ftp", "--why")
        self.assertIn("  Late: not reached (would match)\n", said)

    def test_match_as_json(self):
        found = json.loads(self.match("inbound", "10.9.9.9:443", "10.1.1.1:5000", "--json"))
        self.assertEqual((found["rule"], found["verdict"]), ("Web", "tls"))
        self.assertEqual(found["rules"][0], {"rule": "Web", "reached": True, "matches": True, "reason": None})
        self.assertEqual(found["rules"][1], {"rule": "Late", "reached": False, "matches": False,
                                             "reason": "job unknown, not ftp"})
        found = json.loads(self.match("outbound", "10.9.9.9:443", "10.1.1.1:5000", "--json"))
        self.assertEqual((found["rule"], found["verdict"]), (None, "clear (no rule)"))

    def test_wrong_use_of_match_is_2(self):
        whole = {"--direction": "inbound", "--local": "1.1.1.1:1", "--remote": "1.1.1.1:1"}
        for missing in whole:
            words = [word for pair in whole.items() if pair[0] != missing for word in pair]
            wrong = pel("match", self.policy, *words)
            self.assertEqual(wrong.returncode, 2)
            self.assertIn(f"{missing} is missing", wrong.stderr)
        for option, value in (("--direction", "in"), ("--local", "1.1.1.1"), ("--local", "::1:80"), ("--remote", "[1.1.1.1]:80"),
                              ("--local", "1.1.1.1:65536"), ("--local", "1.1.1:80"), ("--remote", "[::1]:"), ("--remote", ":80"),
                              ("--local", "1.1.1.1:-1"), ("--time", "2026-02-30T00:00:00Z"), ("--time", "yesterday"),
                              ("--time", "2026-03-29T02:30:00"), ("--time", "2026-03-29T25:00:00Z"),
                              ("--time", "2026-03-29T02:30:00+2")):
            words = [word for pair in {**whole, option: value}.items() for word in pair]
            wrong = pel("match", self.policy, *words)
            self.assertEqual((wrong.returncode, wrong.stdout), (2, ""), words)
            self.assertIn(f'{option} "{value}" is not', wrong.stderr)
        self.assertEqual(pel("match").returncode, 2)

    def test_show(self):
        shown = self.fine("show", self.policy)
        self.assertEqual([line.split(" (")[0] for line in shown.splitlines() if line.startswith("rule ")],
                         ["rule Web: tls", "rule Late: tls when asked", "rule Plain: clear"])
        self.assertRegex(shown, r"\n  LocalPortRange +443-444 +TTLSRule \"Web\"\n")
        self.assertRegex(shown, r"\n  ApplicationControlled +On +TTLSEnvironmentAdvancedParms\n")
        self.assertNotIn("HandshakeTimeout", shown)
        only = self.fine("show", self.policy, "Web", "--all")
        self.assertRegex(only, r"\n  HandshakeTimeout +10 +default\n")
        self.assertNotIn("rule Late", only)
        unknown = pel("show", self.policy, "web")
        self.assertEqual((unknown.returncode, unknown.stdout), (1, ""))
        self.assertIn('no rule is named "web"', unknown.stderr)

    def test_show_as_json(self):
        web, late, plain = json.loads(self.fine("show", self.policy, "--json"))["rules"]
        self.assertEqual((web["rule"], web["priority"], web["direction"], web["verdict"], web["line"]),
                         ("Web", 9, "inbound", "tls", 2))
        self.assertEqual((late["environment_action"], plain["group_action"]), ("Asked", ""))
        settings = {setting["name"]: setting for setting in web["settings"]}
        self.assertEqual(settings["Keyring"]["values"], ["web"])
        self.assertEqual(settings["Keyring"]["from"], 'TTLSKeyringParms "Ring"')
        settings = {setting["name"]: setting
                    for setting in json.loads(self.fine("show", self.policy, "Web", "--all", "--json"))["rules"][0]["settings"]}
        self.assertEqual((settings["Trace"]["values"], settings["Trace"]["default"], settings["Trace"]["file"]),
                         (["2"], True, None))

    def test_secrets_are_not_shown(self):
        secret = self.write("secret", SECRET)
        for words in (("show", secret, "--all"), ("show", secret, "--json"), ("show", secret, "--format", "pasearch"),
                      ("diff", self.policy, secret), ("diff", self.policy, secret, "--json")):
            said = self.fine(*words)
            self.assertNotIn("hush", said)
            self.assertIn("(not shown)", said)

    def test_show_as_the_original(self):
        report = self.fine("show", self.policy, "--format", "pasearch")
        lines = report.splitlines()
        self.assertEqual(lines[1], "TCP/IP pasearch Pellucid".ljust(42) + "Image Name: TCPIP".ljust(37))
        self.assertIn("policyRule:             Web".ljust(71), lines)
        self.assertIn("   LocalPortFrom:       443               LocalPortTo:       444   ", lines)
        self.assertIn("  TTLS Action:                  (inline)".ljust(79), lines)
        self.assertEqual(pel("show", self.policy, "--format", "pasearch", "--json").returncode, 2)
        self.assertEqual(pel("show", self.policy, "--format", "xml").returncode, 2)
        self.assertIn("     TLSv1:                     Off            ", lines)
        as_zos = self.fine("show", self.policy, "--format", "pasearch", "--compat", "zos").splitlines()
        self.assertIn("     TLSv1:                     On             ", as_zos)
        self.assertIn("     TLSv1.3:                   Off            ", as_zos)
        self.assertEqual(pel("show", self.policy, "--compat", "zvm").returncode, 2)

    def test_fmt(self):
        self.assertEqual(self.fine("fmt", self.policy), POLICY.replace("}\n# The end", "}\n\n# The end"))
        odd = self.write("odd", POLICY.replace("  Direction", "\tDIRECTION\t").replace("\n", "\r\n"))
        os.chmod(odd, 0o640)
        checked = pel("fmt", "--check", odd)
        self.assertEqual((checked.returncode, checked.stdout, checked.stderr), (1, odd + "\n", ""))
        link = os.path.join(self.dir.name, "link")
        os.symlink("odd", link)
        self.assertEqual(self.fine("fmt", "-w", link), link + "\n")
        self.assertTrue(os.path.islink(link))
        self.assertEqual(stat.S_IMODE(os.stat(odd).st_mode), 0o640)
        self.assertEqual(self.read(odd), self.fine("fmt", self.policy))
        self.assertEqual(self.fine("fmt", "--check", odd), "")
        self.assertEqual(self.fine("fmt", "-w", odd), "")
        self.assertEqual(json.loads(self.fine("diff", self.policy, odd, "--json")), {"equal": True, "changes": []})
        self.assertEqual(sorted(os.listdir(self.dir.name)), ["link", "odd", "policy"])

    def test_fmt_of_several_and_as_json(self):
        bad = self.write("bad", "TTLSRule R\n{\n}\n")
        several = pel("fmt", "--json", bad, self.policy, self.dir.name + "/none")
        self.assertEqual((several.returncode, several.stderr), (1, ""))
        files = json.loads(several.stdout)["files"]
        self.assertEqual([file["ok"] for file in files], [False, True, False])
        self.assertEqual(files[0]["diagnostics"][0]["line"], 1)
        self.assertIn("No such file", files[2]["error"])
        self.assertTrue(files[1]["text"].startswith("# A site.\n"))
        self.assertEqual(pel("fmt", "--check", "-w", bad).returncode, 2)

    def test_fmt_leaves_a_file_that_it_cannot_replace(self):
        bad = self.write("bad", "TTLSRule R\n{\n}\n")
        failed = pel("fmt", "-w", bad)
        self.assertEqual((failed.returncode, failed.stdout), (1, ""))
        self.assertIn("bad:1:1: error: ", failed.stderr)
        self.assertEqual(self.read(bad), "TTLSRule R\n{\n}\n")

    def test_diff(self):
        new = self.write("new", POLICY.replace("Priority 9\n", "").replace("443-444", "443").replace("TTLSRule Plain", "TTLSRule Clear")
                         .replace("web", "other"))
        self.assertEqual(self.fine("diff", self.policy, self.policy), "")
        said = self.fine("diff", self.policy, new)
        self.assertEqual(said, "+ rule Clear\n"
                               "~ rule Late\n    moved: now tried before Web\n    Keyring: web -> other\n"
                               "~ rule Web\n    LocalPortRange: 443-444 -> 443\n"
                               "    Priority: 9 -> 1\n    Keyring: web -> other\n"
                               "- rule Plain\n")
        self.assertEqual(pel("diff", "--exit-code", self.policy, new).returncode, 1)
        self.assertEqual(pel("diff", "--exit-code", self.policy, self.policy).returncode, 0)
        changes = json.loads(self.fine("diff", "--json", self.policy, new))["changes"]
        self.assertEqual(changes[0], {"change": "added", "rule": "Clear", "old_index": None, "new_index": 0})
        self.assertEqual(changes[1], {"change": "moved", "rule": "Late", "old_index": 1, "new_index": 1, "tried_before": "Web"})
        self.assertEqual(changes[2], {"change": "changed", "rule": "Late", "old_index": 1, "new_index": 1,
                                      "statement": "TTLSKeyringParms", "name": "Keyring", "old": "web", "new": "other"})
        for words in ((), (self.policy,), (self.policy, new, new)):
            self.assertEqual(pel("diff", *words).returncode, 2)

    def test_compile(self):
        image = os.path.join(self.dir.name, "image")
        said = self.compile(self.policy, "-o", image)
        self.assertRegex(said, r"image: 3 rules, \d+ bytes\n$")
        self.assertEqual(stat.S_IMODE(os.stat(image).st_mode), 0o644)
        self.assertEqual(pel("check", image).stdout, f"{image}: ok, 3 rules, 1 warning\n")
        self.assertEqual(self.fine("show", image, "--all"), self.fine("show", self.policy, "--all"))
        self.assertEqual(self.fine("diff", image, self.policy), "")
        self.policy, text = image, self.policy
        self.assertEqual(self.match("inbound", "10.9.9.9:443", "10.1.1.1:5000"), "rule Web\ntls\n")
        self.assertEqual(json.loads(self.compile(image, "--json", "-o", image + "2"))["rules"], 3)
        self.assertEqual(self.fine("diff", image + "2", text), "")
        self.assertEqual(pel("compile", text).returncode, 2)
        self.assertEqual(pel("compile", "-o", image).returncode, 2)
        nowhere = pel("compile", text, "-o", self.dir.name + "/none/image")
        self.assertEqual((nowhere.returncode, nowhere.stdout), (1, ""))
        self.assertIn("No such file or directory", nowhere.stderr)
        self.assertIn("not a regular file", pel("compile", text, "-o", self.dir.name).stderr)

    def test_compile_says_the_warnings(self):
        image = self.dir.name + "/image"
        said = pel("check", self.policy).stderr.splitlines()
        self.assertEqual([line.split(": ")[1] for line in said], ["note", "warning"])
        self.assertEqual(pel("compile", self.policy, "-o", image).stderr.splitlines(), said)
        self.assertEqual(len(json.loads(self.compile(self.policy, "--json", "-o", image))["diagnostics"]), 2)
        self.assertEqual(pel("check", image).stderr, f"{image}:1:1: warning: the text of this image had 1 warning and 1 note when "
                         "it was compiled; `pel policy check` of the text says them\n")
        self.assertEqual(pel("check", "--strict", image).returncode, 1)

    def test_an_image_with_a_password_is_for_its_owner(self):
        secret, image = self.write("secret", SECRET), os.path.join(self.dir.name, "image")
        self.write("image", "an older one that all may read")
        self.assertIn("with passwords", self.compile(secret, "-o", image))
        self.assertEqual(stat.S_IMODE(os.stat(image).st_mode), 0o600)
        self.assertTrue(json.loads(self.compile(secret, "-o", image, "--json"))["secret"])

    def test_a_damaged_image(self):
        image = os.path.join(self.dir.name, "image")
        self.compile(self.policy, "-o", image)
        with open(image, "rb") as file:
            whole = file.read()
        for damage, said in ((whole[:100] + bytes([whole[100] ^ 4]) + whole[101:], "the image is damaged"),
                             (whole[:-1], "the image is cut short"), (b"\x88" + whole[1:], "the image is damaged")):
            with open(image, "wb") as file:
                file.write(damage)
            for words in (("check", image), ("show", image), ("diff", image, self.policy), ("compile", image, "-o", image + "2")):
                failed = pel(*words)
                self.assertEqual((failed.returncode, failed.stdout), (1, ""), words)
                self.assertIn(said, failed.stderr)

    def test_policies_with_errors_are_1(self):
        bad, none = self.write("bad", "TTLSRule R\n{\nX\n}\n"), self.dir.name + "/none"
        match = ("--direction", "inbound", "--local", "1.1.1.1:1", "--remote", "1.1.1.1:1")
        for words in (("show",), ("match", *match), ("diff", self.policy), ("compile", "-o", none), ("fmt",)):
            failed = pel(*words, bad)
            self.assertEqual((failed.returncode, failed.stdout), (1, ""), words)
            self.assertIn("bad:3:1: error: unknown parameter", failed.stderr)
            failed = pel(*words, none)
            self.assertEqual((failed.returncode, failed.stdout), (1, ""), words)
            self.assertIn("No such file or directory", failed.stderr)
        said = json.loads(pel("show", "--json", bad).stdout)
        self.assertIn(3, [diagnostic["line"] for diagnostic in said["diagnostics"]])

    def test_help_says_the_exit_status_and_what_goes(self):
        for verb, words in (("diff", "Exit status"), ("fmt", "What has no effect goes"), ("compile", "not forgery"),
                            ("match", "what it would have said"), ("show", "Passwords are not shown")):
            said = " ".join(self.fine(verb, "--help").split())
            self.assertIn(words, said)


if __name__ == "__main__":
    unittest.main()
