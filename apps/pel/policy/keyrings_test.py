#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""pel policy check --keyrings, on keyrings that pel keyring made and this script broke.

Usage: policy_keyrings_test.py PEL
"""

import json
import os
import subprocess
import sys
import tempfile

RULE = """TTLSRule %s
{
  Jobname %s
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
      Keyring %s
    }
  }
}
"""
LINES = RULE.count("\n")
RINGS = ("good", "soon", "expired", "nokey", "mode", "garbage", "empty", "gone")
REFUSED = "its connections would be refused: "
EXPECTED = {
    "soon": "its certificate ends in ",
    "expired": REFUSED + "rings/me/expired/expired.crt: expired 1 day(s) ago; renew it with `pel keyring cert`",
    "nokey": REFUSED + "rings/me/nokey/nokey.key: the certificate \"nokey\" has no private key beside it; put it there with mode 0600",
    "mode": REFUSED + "rings/me/mode/mode.key: mode 0644 lets others at a private key; do `chmod 600 'rings/me/mode/mode.key'`",
    "garbage": REFUSED + "rings/me/garbage/garbage.crt: ",
    "empty": REFUSED + "rings/me/empty: ",
    "gone": REFUSED + "rings/me/gone: no such keyring directory; make it with `pel keyring cert --dir rings/me/gone …`",
}


def pel(*words):
    return subprocess.run([PEL, *words], capture_output=True, text=True, check=False)


def make_rings():
    assert pel("keyring", "ca", "--dir", "ca").returncode == 0
    for ring in RINGS[:-2]:
        days = {"soon": "10", "expired": "-1"}.get(ring, "365")
        result = pel("keyring", "cert", "--dir", f"rings/me/{ring}", "--label", ring, "--dns", "a.example", "--ca", "ca", f"--days={days}")
        assert result.returncode == 0, result.stderr
    os.mkdir("rings/me/empty")
    os.remove("rings/me/nokey/nokey.key")
    os.chmod("rings/me/mode/mode.key", 0o644)
    with open("rings/me/garbage/garbage.crt", "w", encoding="ascii") as file:
        file.write("no certificate\n")
    with open("policy", "w", encoding="ascii") as file:
        file.write("".join(RULE % (ring, ring, ring) for ring in RINGS))


def all_are_told():
    result = pel("policy", "check", "--keyrings", "rings", "--owner", "me", "policy")
    good = result.returncode == 1 and result.stdout == "policy: 6 of 8 rules would refuse their connections\n"
    lines = result.stderr.splitlines()
    good = good and len(lines) == len(EXPECTED)
    for ring, text in EXPECTED.items():
        severity = "warning" if ring == "soon" else "error"
        start = f"policy:{RINGS.index(ring) * LINES + 1}:1: {severity}: TTLSRule \"{ring}\": {text}"
        if not any(line.startswith(start) for line in lines):
            print(f"# missing: {start}")
            good = False
    if not good:
        print("# " + result.stdout + "# " + "\n# ".join(lines))
    return good


def as_json():
    result = pel("policy", "check", "--json", "--keyrings", "rings", "--owner", "me", "policy")
    reply = json.loads(result.stdout)
    return (result.returncode == 1 and not result.stderr and not reply["ok"] and reply["unusable"] == 6 and reply["errors"] == 6
            and reply["warnings"] == 1 and len(reply["diagnostics"]) == 7)


def good_ones_are_fine():
    with open("good", "w", encoding="ascii") as file:
        file.write(RULE % ("good", "good", "me/good") + RULE % ("all", "all", f"{os.getcwd()}/rings/me/good"))
    fine = pel("policy", "check", "--strict", "--keyrings", "rings", "good")
    with open("soon", "w", encoding="ascii") as file:
        file.write(RULE % ("soon", "soon", "me/soon"))
    strict = pel("policy", "check", "--strict", "--keyrings", "rings", "soon")
    return (fine.returncode == 0 and fine.stdout == "good: ok, 2 rules, 0 warnings\n" and not fine.stderr
            and strict.returncode == 1 and strict.stdout == "soon: 1 error of keyrings\n")


def wrong_use():
    return pel("policy", "check", "--compat", "mvs", "policy").returncode == 2 and pel("policy", "check").returncode == 2


def text_alone_needs_none():
    result = pel("policy", "check", "--strict", "policy")
    return result.returncode == 0 and result.stdout == "policy: ok, 8 rules, 0 warnings\n"


def main():
    checks = (all_are_told, as_json, good_ones_are_fine, text_alone_needs_none, wrong_use)
    failed = 0
    print(f"1..{len(checks)}")
    with tempfile.TemporaryDirectory(prefix="pel-policy-keyrings-") as folder:
        os.chdir(folder)
        make_rings()
        for number, check in enumerate(checks, 1):
            good = check()
            failed += not good
            print(f"{'ok' if good else 'not ok'} {number} - {check.__name__}")
        os.chdir("/")
    return 1 if failed else 0


if __name__ == "__main__":
    PEL = os.path.abspath(sys.argv[1])
    sys.exit(main())
