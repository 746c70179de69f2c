#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/POLICY.md is what the tables and policy/manual.md say, its policies are right, and it knows every verb.

Usage: manual_test.py POLICY-MANUAL PEL SOURCE-ROOT
"""

import difflib
import os
import re
import subprocess
import sys
import tempfile


def is_current(manual, root):
    """The committed file beside what would be written now."""
    result = subprocess.run([manual, f"{root}/policy/manual.md"], capture_output=True, text=True, check=True)
    with open(f"{root}/docs/POLICY.md", encoding="utf-8") as file:
        committed = file.read()
    differences = list(difflib.unified_diff(committed.splitlines(), result.stdout.splitlines(), "committed", "now", lineterm="", n=0))
    if differences:
        print("\n".join(differences[:20]))
        print(f"write it anew: {manual} policy/manual.md > docs/POLICY.md")
    return not differences


def policies_are_right(pel, text):
    """Every block that is marked as a policy loads, without a warning."""
    blocks = re.findall(r"^```policy\n(.*?)^```$", text, re.S | re.M)
    good = len(blocks) >= 4
    for block in blocks:
        with tempfile.NamedTemporaryFile("w", suffix=".policy") as file:
            file.write(block)
            file.flush()
            result = subprocess.run([pel, "policy", "check", "--strict", file.name], capture_output=True, text=True, check=False)
        if result.returncode != 0 or result.stderr:
            print(f"{block}{result.stdout}{result.stderr}")
            good = False
    return good


def verbs_are_known(pel, text):
    """The verbs that `pel policy` has are those of the table, no more and no less."""
    usage = subprocess.run([pel, "policy", "--help"], capture_output=True, text=True, check=True).stdout
    verbs = set(re.findall(r"pel policy ([a-z]+)", usage))
    table = text[text.index("| `pel policy` |"):text.index("## What differs")]
    told = set(re.findall(r"^\| `([a-z]+)", table, re.M)) - {"pel"}
    if verbs != told:
        print(f"only pel has: {sorted(verbs - told)}; only the manual has: {sorted(told - verbs)}")
    return verbs == told


def main():
    manual, pel, root = sys.argv[1:4]
    with open(os.path.join(root, "docs/POLICY.md"), encoding="utf-8") as file:
        text = file.read()
    checks = [("the committed manual is current", is_current(manual, root)), ("its policies are right", policies_are_right(pel, text)),
              ("it knows the verbs", verbs_are_known(pel, text))]
    print(f"1..{len(checks)}")
    for number, (what, good) in enumerate(checks, 1):
        print(f"{'ok' if good else 'not ok'} {number} - {what}")
    return 0 if all(good for _, good in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
