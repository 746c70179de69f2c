#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Installs the build into a directory of its own and builds a small program against that tree alone, by what pellucid.pc
says: with the shared library and with the static one. Usage: install_test.py BUILD-DIR CC..."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

BUILD, CC = os.path.abspath(sys.argv[1]), sys.argv[2:]

PROGRAM = """\
#include <pellucid/socket.h>
#include <pellucid/stack.h>
#include <pellucid/version.h>
#include <stdio.h>

int main(void)
{
    printf("%s %d\\n", pel_version(), pel_socket(AF_INET, SOCK_STREAM, 0));
    return 0;
}
"""


def run(*command, **options):
    result = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if result.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: exit status {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


class InstallTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="pel-install-")
        cls.tree = cls.dir + "/tree"
        run("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", env={**os.environ, "DESTDIR": cls.tree})
        cls.files = [os.path.join(folder, name) for folder, _, names in os.walk(cls.tree) for name in names]
        cls.pc_file = cls.find("pellucid.pc")
        with open(cls.dir + "/program.c", "w", encoding="ascii") as file:
            file.write(PROGRAM)
        # The sanitizers that the library was built with, if any, the program needs as well.
        cls.sanitize = cls.sanitizer_options()

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.dir)

    @classmethod
    def find(cls, name):
        found = [path for path in cls.files if os.path.basename(path) == name]
        assert len(found) == 1, f"{name}: installed {len(found)} times: {found}"
        return found[0]

    @classmethod
    def sanitizer_options(cls):
        options = run("meson", "introspect", "--buildoptions", BUILD)
        value = next(option["value"] for option in json.loads(options) if option["name"] == "b_sanitize")
        return [] if value == "none" else [f"-fsanitize={value}"]

    def pkg_config(self, *options):
        prefix = run("pkg-config", "--variable=prefix", self.pc_file).strip()
        environment = {**os.environ, "PKG_CONFIG_PATH": os.path.dirname(self.pc_file)}
        return run("pkg-config", f"--define-variable=prefix={self.tree}{prefix}", *options, "pellucid", env=environment).split()

    def build(self, name, *options):
        program = f"{self.dir}/{name}"
        run(*CC, "-std=c11", "-Wall", "-Wextra", "-Werror", *self.sanitize, f"{self.dir}/program.c", "-o", program, *options)
        return program

    def version(self):
        return self.pkg_config("--modversion")[0]

    def test_nothing_of_vendors_is_installed(self):
        for path in self.files:
            self.assertNotRegex(os.path.relpath(path, self.tree), r"openssl|boringssl|lwip|rte_|gtest")

    def test_headers_are_the_public_ones(self):
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../include/pellucid")
        installed = sorted(os.path.basename(path) for path in self.files if path.endswith(".h"))
        self.assertEqual(installed, sorted(os.listdir(source)))

    def test_the_command_runs(self):
        self.assertEqual(run(self.find("pel"), "--version"), f"pel {self.version()}\n")

    def test_shared(self):
        flags = self.pkg_config("--cflags", "--libs")
        self.assertTrue(any(flag.startswith(f"-I{self.tree}") for flag in flags), flags)
        program = self.build("shared", *flags)
        library_dir = os.path.dirname(self.find("libpellucid.so.0"))
        self.assertIn("libpellucid.so.0", run("readelf", "-d", program))
        out = run(program, env={**os.environ, "LD_LIBRARY_PATH": library_dir})
        self.assertEqual(out, f"{self.version()} -1\n")

    def test_static(self):
        flags = self.pkg_config("--cflags", "--libs", "--static")
        archive = self.find("libpellucid.a")
        flags = [archive if flag == "-lpellucid" else flag for flag in flags]
        program = self.build("static", *flags)
        self.assertNotIn("libpellucid", run("readelf", "-d", program))
        self.assertEqual(run(program), f"{self.version()} -1\n")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]], verbosity=2)
