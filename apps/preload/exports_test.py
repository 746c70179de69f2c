#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The preload library as a file: it exports what docs/COVERAGE.md names and nothing else, needs the C library alone, and is small.

Usage: exports_test.py LIBRARY ROOT
"""

import os
import re
import subprocess
import sys
import tempfile

MAX_LEN = 300 * 1024


def run(*args):
    return subprocess.run(args, capture_output=True, text=True, check=True).stdout


def exports(library):
    rows = [line.split() for line in run("nm", "-D", "--defined-only", library).splitlines()]
    return {row[-1].split("@")[0] for row in rows if row[-2] in "TDBVWi"}


def findings(library, root):
    with open(os.path.join(root, "apps/preload/preload.map"), encoding="utf-8") as file:
        wanted = set(re.findall(r"(\w+);", file.read().split("global:")[1].split("local:")[0]))
    with open(os.path.join(root, "docs/COVERAGE.md"), encoding="utf-8") as file:
        named = set(re.findall(r"`(\w+)`", file.read()))
    have = exports(library)
    yield from (f"{name} is exported, but not in preload.map" for name in sorted(have - wanted))
    yield from (f"{name} is in preload.map, but not exported" for name in sorted(wanted - have))
    yield from (f"docs/COVERAGE.md does not name {name}" for name in sorted(have - named))
    dynamic = run("readelf", "-d", library)
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
    if needed != ["libc.so.6"]:
        yield f"it needs {needed}, and should need the C library alone"
    if "STATIC_TLS" not in dynamic:
        yield "its thread-local storage is found by a call (initial-exec is wanted)"
    with tempfile.TemporaryDirectory(prefix="pel-exports-") as folder:
        stripped = os.path.join(folder, "library.so")
        run("strip", "-o", stripped, library)
        if os.path.getsize(stripped) > MAX_LEN:
            yield f"{os.path.getsize(stripped)} bytes without symbols; {MAX_LEN} at most"


def main():
    found = list(findings(*sys.argv[1:3]))
    print("\n".join(found) or "as it should be")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
