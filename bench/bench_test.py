#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every question of the bench is answered, in one short round: what it writes has all that a reader relies on, and the plot is
a picture. How fast anything was is not looked at.

Usage: bench_test.py BUILD-DIR
"""
import json
import math
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET

HERE = os.path.dirname(os.path.abspath(__file__))
QUESTIONS = ("bulk", "bulk-mtu", "rps", "handshake", "latency", "tax", "connections", "memory", "record", "cores", "preload", "preload-latency", "policy-lookup", "policy-load")
KEYS = {"question": str, "goal": str, "ratio": float, "met": bool, "goals": list, "rounds": int, "figures": dict, "machine": dict,
        "commands": dict, "revision": str}


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def check_json(path, question):
    with open(path) as file:
        answer = json.load(file)
    for key, kind in KEYS.items():
        expect(isinstance(answer.get(key), kind), f"{key} is {answer.get(key)!r}")
    expect(answer["question"] == question, f"question is {answer['question']}")
    expect(answer["rounds"] == 1 and answer["goals"] and answer["commands"], "rounds, goals or commands")
    for goal in answer["goals"]:
        expect(goal["goal"] and is_number(goal["ratio"]) and isinstance(goal["met"], bool), f"goal {goal}")
    expect(all(answer[key] == answer["goals"][0][key] for key in ("goal", "ratio", "met")), "the first goal is not on top")
    expect(len(answer["figures"]) >= 2, "fewer than two sides")
    for side, figures in answer["figures"].items():
        expect(figures, f"{side} has no figures")
        for name, summary in figures.items():
            values = [summary[key] for key in ("min", "median", "max")]
            expect(all(is_number(value) for value in values) and values == sorted(values), f"{side}, {name}: {summary}")


def check_svg(path):
    root = ET.parse(path).getroot()
    texts = [element.text for element in root.iter() if element.tag.endswith("text")]
    bars = [element for element in root.iter() if element.tag.endswith("rect")]
    expect(root.tag.endswith("svg") and len(bars) >= 3 and len(texts) >= 8, f"{len(bars)} bars, {len(texts)} texts")


def check(number, question, build, out):
    environment = os.environ | {"PEL_BENCH_ROUNDS": "1", "PEL_BENCH_SECONDS": "0.2", "PEL_BENCH_SMALL": "1", "PEL_BENCH_OUT": out}
    if question == "bulk-mtu" and os.geteuid() != 0:
        print(f"ok {number} - {question} # SKIP network namespaces need root", flush=True)
        return True
    result = subprocess.run([f"{HERE}/run", build, question], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, timeout=300, check=False)
    try:
        expect(result.returncode == 0, f"bench/run ended with {result.returncode}")
        check_json(f"{out}/{question}.json", question)
        check_svg(f"{out}/{question}.svg")
    except Exception as error:  # a case that breaks is a case that fails
        print(f"not ok {number} - {question}")
        for line in (f"{type(error).__name__}: {error}\n" + result.stdout[-3000:]).splitlines():
            print(f"# {line}", flush=True)
        return False
    print(f"ok {number} - {question} is answered", flush=True)
    return True


def check_failure(number, build, out):
    """What cannot be answered says so, ends with a status, and leaves no old answer behind."""
    stale = f"{out}/rps.json"
    with open(stale, "w") as file:
        file.write("{}")
    environment = os.environ | {"PEL_BENCH_ROUNDS": "1", "PEL_BENCH_SECONDS": "-1", "PEL_BENCH_OUT": out}
    result = subprocess.run([f"{HERE}/run", build, "rps,record"], env=environment, capture_output=True, text=True, timeout=60, check=False)
    said = result.stdout.count("FAILED") == 2 and "no answer to rps, record" in result.stderr
    is_fine = said and result.returncode == 1 and not os.path.exists(stale)
    print(f"{'' if is_fine else 'not '}ok {number} - a question without an answer says so, and the next one is asked", flush=True)
    if not is_fine:
        for line in f"{result.returncode} {result.stdout} {result.stderr}".splitlines():
            print(f"# {line}")
    return is_fine


def main():
    build = sys.argv[1]
    num_failed = 0
    print(f"1..{len(QUESTIONS) + 1}", flush=True)
    with tempfile.TemporaryDirectory(prefix="pellucid-bench-test-") as out:
        for number, question in enumerate(QUESTIONS, 1):
            num_failed += not check(number, question, build, out)
        num_failed += not check_failure(len(QUESTIONS) + 1, build, out)
    return 1 if num_failed else 0


if __name__ == "__main__":
    sys.exit(main())
