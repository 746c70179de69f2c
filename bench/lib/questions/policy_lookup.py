# SPDX-License-Identifier: Apache-2.0
"""What it costs to find a connection's rule, by the number of rules."""
from lib.answer import Answer

TITLE = "finding a connection's rule"
GOALS = {10000: 200, 100000: 500}  # ns


def lookup(bench, sizes):
    def measure(side):
        command = [f"{bench.build}/bench/policy/bench_policy_lookup", "--rules", ",".join(map(str, sizes)), "--rounds",
                   str(max(1, int(10 * bench.seconds))), "--cold", "20" if bench.small else "300"]
        return {f"{row['rules']:,} rules": {"warm_mean_ns": row["warm"]["mean_ns"], "warm_p50_ns": row["warm"]["p50_ns"],
                                            "warm_p99_ns": row["warm"]["p99_ns"], "cold_p50_ns": row["cold"]["p50_ns"],
                                            "cold_p99_ns": row["cold"]["p99_ns"], "table_bytes": row["table_bytes"]}
                for row in bench.run_json(side, command)["sizes"]}
    return measure


def ask(bench):
    answer = bench.answer = Answer("policy-lookup", TITLE)
    sizes = (10, 100, 1000) if bench.small else (10, 100, 1000, 10000, 100000)
    rounds = bench.interleave({"lookup": lookup(bench, sizes)})["lookup"]
    sides = [f"{size:,} rules" for size in sizes]
    answer.add_rounds({side: [round_[side] for round_ in rounds] for side in sides})
    for size, goal in ({sizes[-1]: 200} if bench.small else GOALS).items():
        answer.goal(f"policy-lookup: {size:,} rules, median of a lookup, warm: under {goal} ns", answer.median(f"{size:,} rules", "warm_p50_ns"),
                    at_most=goal, unit="ns")
    answer.notes += [
        "Random policies of prefixes, ranges, groups, ports, users and programs, 3 of 5 rules in IPv4, the others in IPv6; 20,000 connections, of "
        "ten six that a rule is about, two with one thing changed, two at random. Each lookup is measured alone, so that none overlaps with the next. "
        "warm: the connections were asked about before, in another order; cold: before each lookup more memory than the caches hold was read, so "
        "that code, tables and the lists of pages all come from memory. The mean leaves out the slowest of a thousand, which were interrupted.",
    ]
    answer.panel("warm", "ns a lookup, median", [(side, side, "warm_p50_ns", "ours") for side in sides], higher_is_better=False)
    answer.panel("cold", "ns a lookup, median", [(side, side, "cold_p50_ns", "ours") for side in sides], higher_is_better=False)
    return answer
