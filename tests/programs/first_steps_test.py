#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The commands of README's section on unmodified programs, as they stand there, in a network of their own: they do what it says,
and docs/FIRST-STEPS.md is a recording of them.

Usage: first_steps_test.py BUILD-DIR
       first_steps_test.py BUILD-DIR --record    writes docs/FIRST-STEPS.md
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RECORDING = os.path.join(ROOT, "docs/FIRST-STEPS.md")
HEAD = """# First steps, recorded

The commands of README's section on unmodified programs, as a shell ran them (`tests/programs/first_steps_test.py --record`).

```
"""
MARK = "@@first-steps@@"


def readme_commands():
    """The block's commands, each with its comment lines before it; one may span lines (a here-document)."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        block = re.search(r"## Unmodified programs.*?```sh\n(.*?)```", file.read(), re.S).group(1)
    commands, lines, end = [], [], None
    for line in block.splitlines():
        if not line and end is None:
            continue
        lines.append(line)
        here = re.search(r"<<'(\w+)'", line)
        if here:
            end = here.group(1)
        elif end is not None and line == end:
            end = None
        if end is None and not line.startswith("#"):
            commands.append("\n".join(lines))
            lines = []
    return commands


def script(build):
    """What bash is given: each command preceded by itself, as it would be seen at the prompt. The first, unshare, is what runs the
    others; everything is in a /run and a /tmp of its own, too."""
    commands = readme_commands()
    if not commands[0].startswith("unshare --net"):
        raise AssertionError("README's first command is not the one that makes a network")
    text = [f"mount -t tmpfs none /run; mount -t tmpfs none /tmp; cd {ROOT}; ip link set lo up; exec 2>&1"]
    for command in commands[1:]:
        shown = "\n".join(line if line.startswith("#") else f"{'$' if i == command_line(command) else '>'} {line}"
                          for i, line in enumerate(command.splitlines()))
        text.append(f"cat <<'{MARK}'\n{shown}\n{MARK}")
        text.append(command.replace("$PWD/build/", f"{build}/"))
        text.append("sleep 0.3" if command.rstrip().endswith("&") else "")  # for what it says to stand behind it
        if "/attach.sock" in command:  # the socket by which `pel` asks is there a little later, and no command waits for it
            text.append("until ls /run/pellucid/pel-*.sock >/dev/null 2>&1; do sleep 0.1; done")
    text.append("kill $(jobs -p); wait")
    return "\n".join(text) + "\n"


def command_line(command):
    return next(i for i, line in enumerate(command.splitlines()) if not line.startswith("#"))


def run(build):
    with tempfile.NamedTemporaryFile("w", suffix=".sh", dir=ROOT if os.access(ROOT, os.W_OK) else None) as file:
        file.write(script(build))
        file.flush()
        process = subprocess.Popen(["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", file.name],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            return process.communicate(timeout=120)[0], process.returncode
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            return process.communicate()[0] + "\n(not done after 120 s)", 1


EXPECTED = ("policy: ok, 1 rule", "pellucid: ready", "<title>Welcome to nginx", "HTTPS", "TLSv1.3")


def check(output):
    missing = [text for text in EXPECTED if text not in output]
    if missing:
        raise AssertionError(f"not in what the commands printed: {missing}\n{output}")
    with open(RECORDING, encoding="utf-8") as file:
        recorded = file.read()
    unrecorded = [line for command in readme_commands()[1:] for line in command.splitlines() if line not in recorded]
    if unrecorded:
        raise AssertionError(f"docs/FIRST-STEPS.md is not of these commands (record it again): {unrecorded}")


def main():
    build = os.path.abspath(sys.argv[1])
    name = "README's first steps with an unmodified nginx"
    reason = "needs root" if os.geteuid() != 0 else "needs nginx and unshare" if not all(map(shutil.which, ("nginx", "unshare"))) \
        else "a sanitized library cannot be loaded into other programs" if "asan" in os.path.basename(build) else None
    if reason:
        print(f"ok 1 - {name} # SKIP {reason}\n1..1")
        return 0
    output, _ = run(build)
    if sys.argv[2:] == ["--record"]:
        with open(RECORDING, "w", encoding="utf-8") as file:
            file.write(HEAD + output.replace(build, f"{ROOT}/build").replace(ROOT, "/src/pellucid").rstrip() + "\n```\n")
        return 0
    try:
        check(output)
    except AssertionError as error:
        print(f"not ok 1 - {name}")
        for line in str(error).splitlines():
            print(f"# {line}")
        print("1..1")
        return 1
    print(f"ok 1 - {name}\n1..1")
    return 0


if __name__ == "__main__":
    sys.exit(main())
