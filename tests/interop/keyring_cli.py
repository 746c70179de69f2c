#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`pel keyring` as an operator types it: makes an authority, certificates of every kind, lists them, and is refused where
it should be; OpenSSL, where installed, verifies what was made.

Usage: keyring_cli.py PEL"""
import json
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import tempfile

PEL = sys.argv[1]
failures = []


def pel(*args):
    done = subprocess.run([PEL, "keyring", *args], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def expect(condition, text):
    print(("ok    " if condition else "FAIL  ") + text)
    if not condition:
        failures.append(text)


def expect_status(status, needle, *args):
    got, out, err = pel(*args)
    line = " ".join(args)
    expect(got == status and needle in (err if status else out), f"{line}: status {got}, {(err or out).strip()!r}")


def make(root):
    ca, web, me = f"{root}/ca", f"{root}/alice/web", f"{root}/bob/me"
    expect_status(0, "made the authority", "ca", "--dir", ca)
    expect_status(0, "made", "cert", "--dir", web, "--label", "web", "--ca", ca, "--dns", "www.example.test",
                  "--dns", "*.example.test", "--ip", "192.0.2.1", "--ip", "2001:db8::1")
    expect_status(0, "made", "cert", "--dir", web, "--label", "rsa", "--ca", ca, "--dns", "www.example.test", "--key",
                  "rsa2048", "--default", "--ca-label", "ca", "--subject", "CN=www.example.test,O=Example")
    expect_status(0, "made", "cert", "--dir", me, "--label", "me", "--ca", ca, "--client")
    expect_status(0, "", "trust", "--dir", me, "--label", "again", "--file", f"{ca}/ca.crt")
    expect_status(0, "", "list", "--dir", root)
    return ca, web, me


def refuse(ca, web):
    expect_status(1, "--force", "cert", "--dir", web, "--label", "web", "--ca", ca, "--dns", "x.test")
    expect_status(1, "--force", "ca", "--dir", ca)
    expect_status(0, "made", "cert", "--dir", web, "--label", "web", "--ca", ca, "--dns", "www.example.test", "--force")
    expect_status(1, "cannot be one", "cert", "--dir", web, "--label", "../x", "--ca", ca, "--client")
    expect_status(1, "is not one", "cert", "--dir", web, "--label", "x", "--ca", ca, "--ip", "1.2.3")
    expect_status(1, "no such keyring", "cert", "--dir", web, "--label", "x", "--ca", web + "/nowhere", "--client")
    expect_status(1, "no certificate authority", "cert", "--dir", web, "--label", "x", "--ca", web, "--client")
    expect_status(1, "no such directory", "list", "--dir", web + "/nowhere")
    expect_status(1, "did you mean", "default", "--dir", web, "--label", "wbe")
    for args in ([], ["frob"], ["cert"], ["cert", "--dir", "x"], ["cert", "--frob"], ["ca", "--key", "dsa"],
                 ["ca", "--days", "0"], ["list"], ["cert", "--dir", "x", "--label", "l", "--ca", ca], ["list", "extra"]):
        status, _, err = pel(*args)
        expect(status == 2 and err != "", f"wrong usage {args}: status {status}")


def look(root, ca, web):
    expect_status(0, "made", "cert", "--dir", web, "--label", "old", "--ca", ca, "--dns", "x.test", "--days", "-3")
    status, out, _ = pel("list", "--json", "--dir", root)
    rows = {row["label"]: row for row in json.loads(out)["certificates"] if row["kind"] == "certificate"}
    expect(status == 1, "a listing with problems has status 1")
    expect(rows["old"]["problem"] == "KEYRING_CERT_EXPIRED" and "3 day" in rows["old"]["problem_text"], "the expired one")
    expect(rows["rsa"]["default"] and not rows["web"]["default"], "the default")
    expect(rows["rsa"]["subject"] == "CN=www.example.test,O=Example" and rows["rsa"]["key_type"] == "RSA 2048", "subject")
    key = pathlib.Path(web, "web.key")
    expect(stat.S_IMODE(key.stat().st_mode) == 0o600, "a key's mode")
    os.chmod(key, 0o644)
    rows = {row["label"]: row for row in json.loads(pel("list", "--json", "--dir", web)[1])["certificates"]}
    expect(rows["web"]["problem"] == "KEYRING_MODE", "a key that others may read")
    expect(not [name for name in os.listdir(web) if name.count(".") > 1], "no temporary files are left")


def verify(ca, web, me):
    if shutil.which("openssl") is None:
        return
    for path, purpose in ((f"{web}/rsa.crt", "sslserver"), (f"{web}/web.crt", "sslserver"), (f"{me}/me.crt", "sslclient")):
        done = subprocess.run(["openssl", "verify", "-x509_strict", "-CAfile", f"{ca}/ca.crt", "-purpose", purpose, path],
                              capture_output=True, text=True)
        expect(done.returncode == 0, f"openssl verify -purpose {purpose}: {(done.stdout + done.stderr).strip()!r}")


with tempfile.TemporaryDirectory(prefix="pel-keyring-") as folder:
    rings = make(folder)
    verify(*rings)
    refuse(rings[0], rings[1])
    look(folder, rings[0], rings[1])
print(f"{len(failures)} failed")
sys.exit(1 if failures else 0)
