# SPDX-License-Identifier: Apache-2.0
"""What it costs to load a large policy, and what those notice who are served meanwhile."""
from lib.answer import Answer
from lib.world import run

TITLE = "loading a policy of 100,000 rules"


def ask(bench):
    answer = bench.answer = Answer("policy-load", TITLE)
    program, file = f"{bench.build}/bench/policy/bench_policy_load", bench.path("large.policy")
    run(program, "write", file, "--rules", "2000" if bench.small else "100000")
    rings, client = bench.path("rings"), bench.path("client.policy")

    def once(side):
        result = bench.run_json(side, [program, "once", file, "--keyrings", rings])
        return {key: result[key] for key in ("check_ms", "build_ms", "publish_ms", "total_ms", "cpu_ms", "peak_bytes", "again_ms", "again_peak_bytes")}

    def delay(*more):
        def measure(side):
            result = bench.run_json(side, [program, "delay", file, "--keyrings", rings, "--client-policy", client,
                                           "--seconds", f"{5 * bench.seconds:g}", *more])
            return {key: result[key] for key in ("p50_us", "p99_us", "p9999_us", "max_us", "over_1_ms", "max_not_preempted_us", "preempted", "waits", "page_faults",
                                                "longest_open_us", "longest_turns_cpu_us", "requests", "loads")}
        return measure

    answer.add_rounds(bench.interleave({"load": once, "served, no loads": delay(), "served, neighbour counts": delay("--count"),
                                         "served, loads": delay("--reload")}))
    answer.goal("policy-load: read, checked, compiled and swapped: at most 2 s", answer.median("load", "total_ms") / 1e3, at_most=2, unit="s")
    answer.goal("policy-load: memory, the old policy and the new one together: at most 1 GB", answer.median("load", "again_peak_bytes") / 1e9,
                at_most=1, unit="GB")
    answer.goal("policy-load: the greatest delay of a request while policy is loaded over and over, where no other task had the engine's core: "
                "at most 1 ms", answer.median("served, loads", "max_not_preempted_us") / 1e3, at_most=1, unit="ms")
    answer.goal("policy-load: how often the kernel let the engine wait (for a lock, say) while policy was loaded: never",
                answer.median("served, loads", "waits"), at_most=0, unit="")
    answer.notes += [
        "load: a new process reads the file, checks and compiles it, opens the keyrings and publishes the generation; again: the same once more, when "
        "the first is replaced, and both exist for a while. The file has 100,000 rules and 20 MB.",
        "served: one thread on core 0 steps two engines on a wire in memory, so that no request waits for another thread's turn; 8 connections ask "
        "100 bytes with TLS as soon as they were answered, and make room for a new one after 500 requests. Handshakes of others are in the delays. "
        "With loads, a thread on core 1 loads the server's policy over and over; \"neighbour counts\": it counts, and touches no memory. max_us has in it "
        "whatever else ran on core 0, and the machine's host; max_not_preempted_us leaves out turns in which the scheduler gave core 0 to another task "
        "(`perf sched record -C 0` says to which), and has the host's part still; "
        "longest_turns_cpu_us has not: it is the most CPU time that 64 turns of both engines took.",
    ]
    answer.panel("loading", "ms", [("all", "load", "total_ms", "ours"), ("read, check, compile", "load", "check_ms", "ours"),
                                   ("keyrings and environments", "load", "build_ms", "ours")], higher_is_better=False)
    answer.panel("the greatest delay of a request, nobody else on the core", "us", [(side, side, "max_not_preempted_us", kind) for side, kind in (
        ("served, no loads", "limit"), ("served, neighbour counts", "limit"), ("served, loads", "ours"))], higher_is_better=False)
    answer.panel("p99.99 of a request's delay", "us", [(side, side, "p9999_us", kind) for side, kind in (
        ("served, no loads", "limit"), ("served, neighbour counts", "limit"), ("served, loads", "ours"))], higher_is_better=False)
    return answer
