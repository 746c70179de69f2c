# SPDX-License-Identifier: Apache-2.0
"""What a second engine on a second core adds, beside what the raw cipher gains from that core."""
from lib.answer import Answer
from lib.world import server_us

TITLE = "one engine and two"


def engines(bench, num):
    def measure(side):
        result = bench.pellucid(side, "cores", "--engines", str(num), "--connections", "256", tls="p256")
        return {"requests_per_s": result["requests_per_s"], **server_us(result, result["requests"]),
                "least_busy_share": min(result["requests_of_each"]) / result["requests"]}
    return measure


def cipher(bench):
    def measure(side):
        command = [f"{bench.build}/bench/tls/bench_record", "sizes", "--list", "1024,16384", "--seconds", f"{bench.seconds * 0.1:g}"]
        figures = {}
        for row in bench.run_json(side, command)["results"]:
            if row["engine"] == "ipsecmb":
                figures[f"alone, {row['bytes']} B"] = row["seal"]["alone_gbytes_per_s"]
                figures[f"both, {row['bytes']} B"] = row["seal"]["sum_gbytes_per_s"]
        return figures
    return measure


def ask(bench):
    answer = bench.answer = Answer("cores", TITLE)
    answer.add_rounds(bench.interleave({"one engine": engines(bench, 1), "two engines": engines(bench, 2), "raw cipher": cipher(bench)}))
    gain = answer.median("two engines", "requests_per_s") / answer.median("one engine", "requests_per_s")
    raw = answer.median("raw cipher", "both, 16384 B") / answer.median("raw cipher", "alone, 16384 B")
    for side, value in (("gain of two engines", gain), ("gain of the raw cipher", raw)):
        answer.figures[side] = {"second_core": dict.fromkeys(("median", "min", "max"), value) | {"values": [value]}}
    answer.goal("cores: two engines gain at least 0.95 of what the raw cipher gains from the second core in the same run", gain / raw, at_least=0.95)
    answer.notes += [
        "Requests of 1 KB over TLS, 256 connections an engine, which keep a core busy that its two engines share. Serving engine number i is on core i, and the engine of its client shares "
        "that core with it and takes turns: a machine of two cores has none to spare for clients. One engine: core 0 alone, core 1 idle.",
        "The serving engines share one address on one port; the wire spreads the flows over them. least_busy_share: of all requests, those "
        "that the engine with the fewest has answered.",
        "The raw cipher's gain: sealing 16 KB on both cores at once over sealing on one.",
    ]
    answer.panel("1 KB requests, TLS", "thousand requests a second", [("one engine", "one engine", "requests_per_s", "ours"),
                                                                      ("two engines", "two engines", "requests_per_s", "ours")], scale=1e-3)
    answer.panel("sealing 16 KB, AES-128-GCM", "GB/s", [("one core", "raw cipher", "alone, 16384 B", "limit"),
                                                        ("both cores", "raw cipher", "both, 16384 B", "limit")])
    return answer
