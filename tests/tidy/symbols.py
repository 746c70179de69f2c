#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Looks at the symbols of what was built:

- no writable variable at file scope in the layers that must have none (policy, tls, base, stack/lwip), and no other than the
  listed ones in stack; a listed one of stack/lwip must be thread-local;
- libpellucid.so shows pel_* alone, of what it includes nothing: neither OpenSSL's names nor DPDK's nor lwIP's; and does not
  need OpenSSL's from others.

Usage: symbols.py BUILD-DIR            everything of it that has been built
       symbols.py --self-test CC       checks the checker on objects that it compiles
"""

import os
import re
import subprocess
import sys
import tempfile

# Archive -> names of the writable variables that it may have, each with its reason.
ARCHIVES = {
    "base/libbase.a": [],
    "policy/libpolicy.a": [],
    "tls/libtls.a": [],
    "tls/libtls_boringssl.a": [],
    "tls/libtls_ipsecmb.a": [],
    "stack/lwip/liblwip_core.a": ["pel_lwip thread-local"],  # the thread's instance
    "stack/lwip/liblwip_glue.a": ["pel_lwip thread-local"],
    "stack/libstack.a": ["pel_sockets"],  # the process's socket table: descriptors mean the same in every thread
}
WRITABLE = "DdBbCSs"
FORBIDDEN = re.compile(r"^(SSL|EVP|CRYPTO|X509|BIO|RSA|EC|ERR|OPENSSL|PEM|ASN1|BN|HMAC|SHA\d*|AES|OBJ|d2i|i2d|TLS|DTLS|PKCS\w*)_"
                       r"|^_ZN4bssl|^rte_|^(tcp|udp|ip|pbuf|netif|lwip)_|^OPENSSL")


def nm(path, *options):
    result = subprocess.run(["nm", *options, path], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise SystemExit(f"nm {path}: {result.stderr}")
    member = ""
    for line in result.stdout.splitlines():
        if line.endswith(":"):
            member = line[:-1]
        match = re.match(r"^[0-9a-f ]*\s([A-Za-z?-])\s(\S+)$", line)
        if match:
            yield member, match.group(1), match.group(2)


def sections(path):
    """Name -> section, as far as nm cannot tell what it means: constants that the loader writes, thread-local variables."""
    result = subprocess.run(["objdump", "-t", path], capture_output=True, text=True, check=False)
    found = {}
    for line in result.stdout.splitlines():
        match = re.search(r"\s(\.data\.rel\.ro\S*|\.tbss\S*|\.tdata\S*)\s", line)
        if match:
            found[line.split()[-1]] = match.group(1)
    return found


# What compilers and sanitizers bring.
TOOLING = re.compile(r"^(___?asan|__ubsan|__odr_asan|__sanc|__sancov|__start_|__stop_|_GLOBAL__|\.L|\.bss|\.data|__llvm|__prof|__unnamed_)")


def check_archive(path, allowed):
    findings = []
    section = sections(path)
    for member, kind, name in nm(path):
        where = section.get(name, "")
        if kind not in WRITABLE or where.startswith(".data.rel.ro") or TOOLING.match(name):
            continue
        plain = name.split(".")[0] + (" thread-local" if where.startswith(".t") else "")
        if plain not in allowed:
            findings.append(f"{path}({member}): {plain}: a writable variable at file scope ({kind})")
    return findings


def check_shared(path):
    findings = []
    for _, kind, name in nm(path, "-D", "--defined-only"):
        plain = name.split("@")[0]
        if kind != "A" and not plain.startswith("pel_"):
            findings.append(f"{path}: exports {name}")
    for _, _, name in nm(path, "-D", "--undefined-only"):
        if FORBIDDEN.match(name.split("@")[0]):
            findings.append(f"{path}: needs {name} from another library")
    if not any(name.startswith("pel_") for _, _, name in nm(path, "-D", "--defined-only")):
        findings.append(f"{path}: exports nothing")
    return findings


def check_build(build):
    findings, num_checked = [], 0
    for archive, allowed in ARCHIVES.items():
        path = os.path.join(build, archive)
        if os.path.exists(path):
            findings += check_archive(path, allowed)
            num_checked += 1
    shared = os.path.join(build, "stack/libpellucid.so")
    if os.path.exists(shared):
        findings += check_shared(shared)
        num_checked += 1
    print("\n".join([*findings, f"{num_checked} files looked at, {len(findings)} findings"]))
    return 1 if findings or num_checked == 0 else 0


SAMPLES = [
    ("const int table[] = {1, 2};\nint pel_f(void) { return table[0]; }\n", 0),
    ("static const char *const names[] = {\"a\"};\nconst char *pel_f(int i) { return names[i]; }\n", 0),
    ("int counter;\nint pel_f(void) { return counter++; }\n", 1),
    ("static int counter = 7;\nint pel_f(void) { return counter++; }\n", 1),
    ("__thread int counter;\nint pel_f(void) { return counter++; }\n", 1),
    ("int pel_f(void) { static int calls; return calls++; }\n", 1),
    ("static const char *names[] = {\"a\", \"b\"};\nconst char **pel_f(int i) { return &names[i]; }\n", 1),
]


def self_test(compiler):
    failures = []
    with tempfile.TemporaryDirectory(prefix="pel-symbols-") as folder:
        for number, (text, expected) in enumerate(SAMPLES):
            source, target = f"{folder}/{number}.c", f"{folder}/{number}.o"
            with open(source, "w", encoding="ascii") as file:
                file.write(text)
            subprocess.run([*compiler, "-O1", "-fPIC", "-c", source, "-o", target], check=True)
            findings = check_archive(target, [])
            if len(findings) != expected:
                failures.append(f"sample {number}: {findings}, expected {expected}")
        source, target = f"{folder}/lib.c", f"{folder}/lib.so"
        with open(source, "w", encoding="ascii") as file:
            file.write("extern int EVP_x(void);\nint pel_f(void) { return EVP_x(); }\nint SSL_new(void) { return 1; }\n")
        subprocess.run([*compiler, "-O1", "-fPIC", "-shared", source, "-o", target], check=True)
        findings = check_shared(target)
        if len(findings) != 2 or not any("exports SSL_new" in f for f in findings) or not any("needs EVP_x" in f for f in findings):
            failures.append(f"shared sample: {findings}")
    print("\n".join(failures) or f"{len(SAMPLES) + 1} samples judged as they should be")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(self_test(sys.argv[2:]) if sys.argv[1] == "--self-test" else check_build(sys.argv[1]))
