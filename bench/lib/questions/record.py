# SPDX-License-Identifier: Apache-2.0
"""How fast records are sealed and opened, by size and engine."""
from lib.answer import Answer

TITLE = "sealing and opening AES-128-GCM records"
SIZES = (64, 256, 1024, 1400, 4096, 16384)
ENGINES = ("ipsecmb", "boringssl", "openssl")


def sizes(bench, program):
    def measure(side):
        command = [f"{bench.build}/bench/{program}", "sizes", "--list", ",".join(map(str, SIZES)), "--seconds", f"{bench.seconds * 0.04:g}"]
        figures = {}
        for row in bench.run_json(side, command)["results"]:
            for what in ("seal", "open"):
                for how in ("alone", "both"):
                    figures[f"{row['engine']}, {what}, {row['bytes']} B, {how}"] = row[what][f"{how}_gbytes_per_s"]
        return figures
    return measure


def ask(bench):
    answer = bench.answer = Answer("record", TITLE)
    rounds = bench.interleave({"ours": sizes(bench, "tls/bench_record"), "openssl": sizes(bench, "rivals/bench_record_openssl")})
    answer.add_rounds(rounds)
    figures = answer.figures.pop("ours") | answer.figures.pop("openssl")
    answer.figures = {engine: {name.split(", ", 1)[1]: value for name, value in figures.items() if name.startswith(engine)} for engine in ENGINES}
    answer.goal("record: the engine that our record layer uses is at least as fast as OpenSSL's at every size, with both cores at work (the "
                "worst size; no goal of its own is set)",
                min(answer.median("ipsecmb", f"{what}, {size} B, both") / answer.median("openssl", f"{what}, {size} B, both")
                    for what in ("seal", "open") for size in SIZES), at_least=1.0)
    answer.notes += ["alone: on core 0 with core 1 idle; both: the rate of core 0 while core 1 does the same. Records as TLS 1.3 makes them, from and "
                     "to bytes that stay in the core's cache."]
    for size in SIZES:
        rows = []
        for what in ("seal", "open"):
            rows += [(f"{name}, {what}", engine, f"{what}, {size} B, both", kind) for name, engine, kind in (
                ("IPsec-MB", "ipsecmb", "ours"), ("BoringSSL", "boringssl", "ours"), ("OpenSSL", "openssl", "rival"))]
        answer.panel(f"records of {size:,} bytes, both cores at work", "GB/s of each core", rows)
    return answer
