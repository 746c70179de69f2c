#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the house demands of its files, as a test: sizes, layers, markers, and that documents name files that exist.

Prints every finding as FILE:LINE: TEXT and exits 1 if there is one.
Usage: tidy.py ROOT       checks the tree that git lists
       tidy.py --self-test  checks the checker with samples that must be found
"""

import os
import re
import subprocess
import sys
import tempfile

MAX_COLUMNS = 110
MAX_FUNCTION_LINES = 70
MAX_FILE_LINES = 800
SOURCE = (".c", ".h", ".cc", ".cpp", ".hh")

# Vendor headers, and the only folder that may include each.
VENDORS = {
    "lwip/": "stack/lwip/",
    "netif/": "stack/lwip/",
    "arch/": "stack/lwip/",
    "pel_lwip_": "stack/lwip/",  # what lwIP itself includes: our options, and its state as a struct
    "openssl/": ("tls/boringssl/", "bench/rivals/"),  # rivals are no part of Pellucid
    "intel-ipsec-mb.h": "tls/ipsecmb/",
    "ipsec-mb.h": "tls/ipsecmb/",
    "rte_": "drivers/dpdk/",
    "gtest/": "tests/harness/",
    "gmock/": "tests/harness/",
}

# Layer -> the folders of ours that it may include, beside itself, base and the public headers.
LAYERS = {
    "include": [],
    "base": [],
    "ipc": [],
    "policy": ["base"],
    "tls": ["base"],
    "drivers": ["base"],
    "stack/lwip": ["base", "drivers"],
    "stack": ["base", "ipc", "policy", "tls", "drivers", "stack/lwip"],
    "apps": [],
    "apps/pel": ["ipc"],      # pel run judges programs
    "apps/preload": ["ipc"],  # runs inside other people's programs: on libc alone
    "bench": [],
    "bench/tls": ["base", "tls", "bench"],  # the cipher and the handshake alone, below every public header
    "bench/policy": ["base", "policy", "drivers", "stack", "bench"],  # the tables alone; and engines that one thread steps
}
# stack/lwip knows drivers/port.h, the shape of a packet; and no driver.
ONLY_FILE = {("stack/lwip", "drivers"): "drivers/port.h"}
# Tests may also use these.
TEST_FOLDERS = ["tests", "drivers/sim"]

MARKERS = re.compile(r"\b(TODO|FIXME|XXX)\b")
# Spelled in parts, so that this file does not contain what it forbids.
REGISTRY_HOSTS = re.compile(
    r"(?i)\b([a-z0-9-]+\.)*(" + "|".join([
        r"deb\.debian" + r"\.org", r"security\.debian" + r"\.org", r"snapshot\.debian" + r"\.org", r"archive\.ubuntu" + r"\.com",
        r"pypi" + r"\.org", r"pythonhosted" + r"\.org", r"registry\.npmjs" + r"\.org", r"crates" + r"\.io", r"proxy\.golang" + r"\.org",
        r"repo1?\.maven" + r"\.org", r"rubygems" + r"\.org", r"docker" + r"\.io", r"ghcr" + r"\.io"]) + r")\b")
SPDX = "SPDX-License-Identifier: Apache-2.0"
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]')
DOC_PATH = re.compile(r"(?<![\w/.<$-])((?:include|base|policy|tls|drivers|stack|apps|bench|tests|docs|scripts|subprojects)"
                      r"/[\w./+-]*\w/?)(?![\w*{<$])")


def is_test(path):
    """Tests, and what is there for tests alone."""
    name = os.path.basename(path)
    return (path.startswith("tests/") or "/testing/" in path or "_test." in name or "_test_" in name or name.endswith("_env.c") or
            name.startswith(("test", "thrown", "lab.")) or "fake" in name)


def layer_of(path):
    parts = path.split("/")
    for folder in ("stack/lwip", "bench/tls", "bench/policy", "apps/pel", "apps/preload"):
        if path.startswith(folder + "/"):
            return folder
    return parts[0]


def code_of(line, state):
    """The line without strings, characters and comments; `state` remembers whether a comment is open."""
    out, i = [], 0
    while i < len(line):
        two = line[i:i + 2]
        if state["comment"]:
            end = line.find("*/", i)
            if end < 0:
                return "".join(out)
            state["comment"], i = False, end + 2
        elif two == "/*":
            state["comment"], i = True, i + 2
        elif two == "//":
            break
        elif line[i] in "\"'":
            quote, i = line[i], i + 1
            while i < len(line) and line[i] != quote:
                i += 2 if line[i] == "\\" else 1
            i += 1
            out.append("''")
        else:
            out.append(line[i])
            i += 1
    return "".join(out)


def check_functions(path, lines, report):
    """A function starts at a line that is "{" alone, after one that ends in ")"; it ends at "}" in the first column."""
    state, start, previous = {"comment": False}, 0, ""
    for number, line in enumerate(lines, 1):
        code = code_of(line, state).rstrip()
        if start:
            if re.match(r"\s*#\s*(if|ifdef|ifndef|elif|else)\b", code):
                report(path, number, "preprocessor condition inside a function")
            if code.startswith("}"):
                length = number - start - 1
                if length > MAX_FUNCTION_LINES:
                    report(path, start, f"function of {length} lines; {MAX_FUNCTION_LINES} at most")
                start = 0
        elif code == "{" and re.search(r"\)(\s*(const|noexcept|override))*$", previous):
            start = number
        if code:
            previous = code


def check_include(path, number, quote, name, report):
    for prefix, folder in VENDORS.items():
        if name.startswith(prefix):
            if not path.startswith(folder):
                folders = folder if isinstance(folder, str) else " and ".join(folder)
                report(path, number, f"<{name}> may be included below {folders} only")
            return
    if quote == '"' and not os.path.exists(os.path.join(check_include.root, name)):
        report(path, number, f'"{name}" is no path from the root of the project')
        return
    if name.startswith("pellucid/") or quote == "<":
        return
    own, target = layer_of(path), layer_of(name)
    if own not in LAYERS or target == own:
        return
    test = is_test(path)
    if test and any(name.startswith(folder + "/") for folder in TEST_FOLDERS):
        return
    if target not in LAYERS[own]:
        report(path, number, f'{own} may not include "{name}"')
    elif ONLY_FILE.get((own, target), name) != name and not test:
        report(path, number, f'{own} may include "{ONLY_FILE[(own, target)]}" of {target} only')


def check_source(path, lines, report):
    if not any(SPDX in line for line in lines[:2]):
        report(path, 1, f"no line {SPDX}")
    if len(lines) > MAX_FILE_LINES:
        report(path, len(lines), f"file of {len(lines)} lines; {MAX_FILE_LINES} at most")
    for number, line in enumerate(lines, 1):
        include = INCLUDE.match(line)
        if include:
            check_include(path, number, *include.groups(), report)
    check_functions(path, lines, report)


def check_lines(path, lines, report):
    prose = path.endswith((".md", ".txt", ".lock", ".policy", ".patch"))
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_COLUMNS and path.endswith(SOURCE):
            report(path, number, f"{len(line)} columns; {MAX_COLUMNS} at most")
        if not prose and path != "tests/tidy/tidy.py" and MARKERS.search(line):
            report(path, number, f"{MARKERS.search(line).group()}: do it, or leave it out")
        if REGISTRY_HOSTS.search(line):
            report(path, number, f"host name of a registry: {REGISTRY_HOSTS.search(line).group()}")


def exists_somewhere(root, path):
    """A file or folder, a source named without its ending, a target below the build, or a brought source."""
    full = os.path.join(root, path)
    if os.path.exists(full) or any(os.path.exists(full + ending) for ending in (".c", ".h", "_test.c")):
        return True
    return path.startswith(("subprojects/boringssl", "subprojects/lwip"))


def check_document(path, lines, report):
    for number, line in enumerate(lines, 1):
        for match in DOC_PATH.finditer(line):
            if line[max(0, match.start() - 6):match.start()].endswith("build/"):
                continue
            named = match.group(1).rstrip(".")
            if re.search(r"\b[A-Z]{4,}(/|$)", named):  # NAME stands for a name
                continue
            if not exists_somewhere(check_include.root, named):
                report(path, number, f"names {named}, which is not there")


def is_exempt(path):
    """Vendor build files and patches, and test data that others wrote."""
    return "testdata/" in path or "/corpus/" in path or path.endswith(".patch")


def check_tree(root, paths):
    findings = []

    def report(path, number, text):
        findings.append(f"{path}:{number}: {text}")

    check_include.root = root
    for path in sorted(paths):
        if is_exempt(path) or not os.path.isfile(os.path.join(root, path)):
            continue
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
            lines = file.read().split("\n")
        if lines and lines[-1] == "":
            lines.pop()
        check_lines(path, lines, report)
        if path.endswith(SOURCE):
            check_source(path, lines, report)
        if path == "README.md" or (path.startswith("docs/") and path.endswith(".md")):
            check_document(path, lines, report)
    return findings


def tree_paths(root):
    """What git lists, tracked or not yet; without git, everything that is no build and no vendor source."""
    try:
        listing = subprocess.run(["git", "-C", root, "ls-files", "--cached", "--others", "--exclude-standard"],
                                 capture_output=True, text=True, check=True)
        return listing.stdout.split("\n")[:-1]
    except (FileNotFoundError, subprocess.CalledProcessError):
        pass
    paths = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith((".", "build")) and
                      os.path.relpath(os.path.join(folder, name), root) not in ("subprojects/boringssl", "subprojects/lwip")]
        paths += [os.path.relpath(os.path.join(folder, name), root) for name in files]
    return paths


# ---- The checker, checked ----

GOOD = "/* " + SPDX + " */\n"
SAMPLES = [
    # path, text, part of the finding (None: there must be none)
    ("base/good.c", GOOD + '#include <stdio.h>\n#include "base/good.h"\n', None),
    ("base/good.h", GOOD, None),
    ("policy/good.h", GOOD, None),
    ("drivers/port.h", GOOD, None),
    ("drivers/sim/sim.h", GOOD, None),
    ("tls/no_spdx.c", "int a;\n", ":1: no line SPDX"),
    ("tls/wide.c", GOOD + "/* " + "x" * 110 + " */\n", ":2: 116 columns"),
    ("tls/long_file.c", GOOD + "int a;\n" * 800, "file of 801 lines"),
    ("tls/long_function.c", GOOD + "void f(void)\n{\n" + "    g();\n" * 71 + "}\n", ":3: function of 71 lines"),
    ("tls/full_function.c", GOOD + "void f(void)\n{\n" + "    g();\n" * 70 + "}\n", None),
    ("tls/table.c", GOOD + "int a[] =\n{\n" + "    1,\n" * 71 + "};\n", None),
    ("tls/condition.c", GOOD + "void f(void)\n{\n#ifdef A\n    g();\n#endif\n}\n", ":4: preprocessor condition"),
    ("tls/condition_outside.c", GOOD + "#ifdef A\nvoid f(void)\n{\n}\n#endif\n", None),
    ("tls/brace_in_text.c", GOOD + 'void f(void)\n{\n    g("}");\n    g("#if");\n}\n', None),
    ("tls/vendor.c", GOOD + "#include <openssl/ssl.h>\n", ":2: <openssl/ssl.h> may be included below tls/boringssl/"),
    ("tls/boringssl/vendor.c", GOOD + "#include <openssl/ssl.h>\n", None),
    ("stack/vendor.c", GOOD + '#include "lwip/tcp.h"\n', "below stack/lwip/"),
    ("stack/vendor2.c", GOOD + "#include <rte_mbuf.h>\n", "below drivers/dpdk/"),
    ("tls/upward.c", GOOD + '#include "policy/good.h"\n', 'tls may not include "policy/good.h"'),
    ("apps/inside.c", GOOD + '#include "base/good.h"\n', 'apps may not include "base/good.h"'),
    ("bench/inside.c", GOOD + '#include "base/good.h"\n', 'bench may not include "base/good.h"'),
    ("bench/tls/inside.c", GOOD + '#include "base/good.h"\n', None),
    ("bench/rivals/vendor.c", GOOD + "#include <openssl/ssl.h>\n", None),
    ("stack/down.c", GOOD + '#include "policy/good.h"\n', None),
    ("stack/lwip/port.c", GOOD + '#include "drivers/port.h"\n', None),
    ("stack/lwip/driver.c", GOOD + '#include "drivers/sim/sim.h"\n', '"drivers/port.h" of drivers only'),
    ("stack/lwip/sim_test.c", GOOD + '#include "drivers/sim/sim.h"\n', None),
    ("tls/relative.c", GOOD + '#include "good.h"\n', "is no path from the root"),
    ("tls/later.c", GOOD + "/* TO" + "DO: this */\n", ":2: TO" + "DO"),
    ("scripts/fetch", "wget https://deb.debian" + ".org/x\n", ":1: host name of a registry"),
    ("docs/GOOD.md", "See base/good.c, base/good, `build/apps/x/y` and drivers/*.c.\n", None),
    ("docs/BAD.md", "\nSee base/gone.c.\n", ":2: names base/gone.c"),
    ("docs/PLACE.md", "Patches are in subprojects/packagefiles/NAME/patches.\n", None),
    ("stack/lwip/vendor.c", GOOD + '#include "lwip/tcp.h"\n', None),
    ("stack/with_lwip.c", GOOD + '#include "stack/lwip/lwip.h"\n', None),
    ("stack/lwip/lwip.h", GOOD, None),
]


def self_test():
    failures = []
    with tempfile.TemporaryDirectory(prefix="pel-tidy-") as root:
        for path, text, _ in SAMPLES:
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write(text)
        findings = check_tree(root, [path for path, _, _ in SAMPLES])
        for path, _, expected in SAMPLES:
            of_path = [finding for finding in findings if finding.startswith(path + ":")]
            is_fine = not of_path if expected is None else len(of_path) == 1 and expected in of_path[0]
            if not is_fine:
                failures.append(f"{path}: expected {expected!r}, found {of_path}")
    print("\n".join(failures) or f"{len(SAMPLES)} samples judged as they should be")
    return 1 if failures else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    root = sys.argv[1] if len(sys.argv) > 1 else "."
    paths = tree_paths(root)
    findings = check_tree(root, paths)
    for finding in findings:
        print(finding)
    print(f"{len(paths)} files, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
