# SPDX-License-Identifier: Apache-2.0
"""What TLS costs in our own stack, by the size of messages, and how much of it the cipher by itself explains."""
from lib.answer import Answer

TITLE = "TLS beside plain by size of message"
SIZES = (64, 256, 1024, 4096, 16384, 65536)
GOAL_SIZE = 16384


def pellucid(bench, tls):
    """One connection, the sizes one after another."""
    def measure(side):
        sizes = ",".join(str(size) for size in SIZES)
        results = bench.pellucid(side, "bulk", "--list", sizes, tls=tls, seconds=bench.seconds * 0.4)["results"]
        return {f"{row['message_len']} B": row["gbytes_per_s"] for row in results}
    return measure


def cipher(bench):
    """The slower of sealing and opening, with the other core doing the other; a record holds 16 KB."""
    def measure(side):
        sizes = ",".join(str(size) for size in SIZES if size <= 16384)
        command = [f"{bench.build}/bench/tls/bench_record", "pipeline", "--list", sizes, "--seconds", f"{bench.seconds * 0.1:g}"]
        best = {}
        for row in bench.run_json(side, command)["results"]:
            rate = min(row["seal_gbytes_per_s"], row["open_gbytes_per_s"])
            best[row["bytes"]] = max(best.get(row["bytes"], 0), rate)
        return {f"{size} B": best[min(size, 16384)] for size in SIZES}
    return measure


def excess(answer, size):
    """Time a byte with TLS over time a byte in clear plus time a byte of the cipher."""
    tls, plain, raw = (1 / answer.median(side, f"{size} B") for side in ("pellucid TLS", "pellucid plain", "raw cipher"))
    return tls / (plain + raw)


def ask(bench):
    answer = bench.answer = Answer("tax", TITLE)
    answer.add_rounds(bench.interleave({
        "pellucid TLS": pellucid(bench, "p256"), "pellucid plain": pellucid(bench, None), "raw cipher": cipher(bench)}))
    for size in SIZES:
        ratio = excess(answer, size)
        answer.figures[f"excess at {size} B"] = {"tls_over_plain_plus_cipher": dict.fromkeys(("median", "min", "max"), ratio) | {"values": [ratio]}}
    answer.goal("tax, 16 KB messages: reported; at most 30 % beyond what the raw cipher rate itself explains", excess(answer, GOAL_SIZE), at_most=1.3)
    answer.notes += ["The goal's value is time a byte with TLS / (time a byte in clear + time a byte of the cipher), of medians at 16 KB. The "
                     "cipher's time is of the slower of sealing and opening messages of that size (16 KB at most), on one core while the other "
                     "does the other.", "A message is one call of pel_conn_write; the server sends as fast as the client takes."]
    for size in SIZES:
        answer.panel(f"messages of {size:,} bytes", "GB/s", [("TLS", "pellucid TLS", f"{size} B", "ours"), ("plain", "pellucid plain", f"{size} B", "ours"),
                                                           ("AES-128-GCM by itself", "raw cipher", f"{size} B", "limit")])
    return answer
