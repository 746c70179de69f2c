# SPDX-License-Identifier: Apache-2.0
"""Bytes a second of one connection, TLS 1.3 with AES-128-GCM and in clear, both directions."""
from lib.answer import Answer
from lib.nginx import Nginx

TITLE = "one connection as fast as it goes"
# What may make the kernel's program fastest; which does is found out before the rounds.
KERNEL_TLS = ("", "--ahead 65536", "--batch 65536 --ahead 65536", "--batch 131072 --ahead 131072", "--batch 131072 --ahead 131072 --spin",
              "--batch 65536 --ahead 65536 --socket-buffer 2000000")
KERNEL_WRITE = ("", "--chunk 65536 --read 65536", "--chunk 1048576 --read 1048576", "--socket-buffer 2000000", "--spin")
KERNEL_SENDFILE = ("--sendfile", "--sendfile --read 65536", "--sendfile --chunk 1048576 --read 1048576", "--sendfile --spin")


def pellucid(bench, *options, tls):
    def measure(side):
        result = bench.pellucid(side, "bulk", *options, tls=tls)["results"][0]
        return {"gbytes_per_s": result["gbytes_per_s"], "server_cpu_share": result["server"]["cpu_s"] / result["seconds"],
                "server_busy_share": result["server"]["busy_s"] / result["seconds"]}
    return measure


def kernel(bench, *options, tls=False):
    def measure(side):
        result = bench.kernel(side, "bulk", *options, tls=tls)
        return {"gbytes_per_s": result["gbytes_per_s"], "server_cpu_share": result["server"]["cpu_s"] / result["seconds"]}
    return measure


def fastest(bench, candidates, tls=False):
    """The options of the kernel's program that move most, each tried twice."""
    rates = dict.fromkeys(candidates, 0.0)
    for _ in range(2):
        for words in candidates:
            result = bench.kernel("kernel, tried out", "bulk", *words.split(), tls=tls, seconds=bench.seconds * 0.3)
            rates[words] = max(rates[words], result["gbytes_per_s"])
    best = max(rates, key=rates.get)
    tried = ", ".join(f"{words or 'defaults'} {rate:.2f}" for words, rate in rates.items())
    bench.answer.notes.append(f"The kernel at its best, {'TLS' if tls else 'plain'}: {best or 'defaults'}; tried before the rounds, GB/s: {tried}.")
    return best.split()


def raw(bench):
    def measure(side):
        command = [f"{bench.build}/bench/tls/bench_record", "pipeline", "--list", "16384", "--seconds", f"{bench.seconds / 2:g}"]
        engines = {row["engine"]: row for row in bench.run_json(side, command)["results"]}
        best = engines["ipsecmb"]
        return {"gbytes_per_s": min(best["seal_gbytes_per_s"], best["open_gbytes_per_s"]),
                "handed_over_gbytes_per_s": best["handed_over_gbytes_per_s"],
                "boringssl_gbytes_per_s": min(engines["boringssl"][f"{what}_gbytes_per_s"] for what in ("seal", "open"))}
    return measure


def ask(bench):
    answer = bench.answer = Answer("bulk", TITLE)
    tls, write, sendfile = fastest(bench, KERNEL_TLS, tls=True), fastest(bench, KERNEL_WRITE), fastest(bench, KERNEL_SENDFILE)
    with Nginx(bench) as nginx:
        answer.add_rounds(bench.interleave({
            "pellucid TLS, server sends": pellucid(bench, tls="p256"),
            "nginx TLS, server sends": lambda side: nginx.curl(side, "p256"),
            "kernel TLS, server sends": kernel(bench, *tls, tls=True),
            "raw AES-128-GCM, 16 KB": raw(bench),
            "pellucid TLS, client sends": pellucid(bench, "--up", tls="p256"),
            "kernel TLS, client sends": kernel(bench, *tls, "--up", tls=True),
            "pellucid plain, server sends": pellucid(bench, tls=None),
            "kernel plain, server writes": kernel(bench, *write),
            "kernel plain, server sendfile": kernel(bench, *sendfile),
            "nginx plain, server sends": lambda side: nginx.curl(side, None),
            "pellucid plain, client sends": pellucid(bench, "--up", tls=None),
            "kernel plain, client sendfile": kernel(bench, *sendfile, "--up"),
        }))
    judge(answer)
    return answer


def judge(answer):
    def rate(side):
        return answer.median(side, "gbytes_per_s")

    down, up = (rate(f"pellucid TLS, {who} sends") for who in ("server", "client"))
    kernel_plain = max(rate(side) for side in answer.figures if side.startswith("kernel plain"))
    answer.goal("bulk TLS 1.3 AES-128-GCM, one connection, one core a side: at least 80 % of the raw 16 KB AES-GCM rate (measured "
                "in the same run, sealing on one core and opening on the other at once)", down / rate("raw AES-128-GCM, 16 KB"),
                at_least=0.8)
    answer.goal("bulk TLS, one connection: at least 3.5 x nginx", down / rate("nginx TLS, server sends"), at_least=3.5)
    answer.goal("bulk TLS, one connection: at least 2.4 x the kernel at its best (the worse direction)",
                min(down / rate("kernel TLS, server sends"), up / rate("kernel TLS, client sends")), at_least=2.4)
    answer.goal("bulk plain, one connection: at least 1.0 x the kernel at its best (the worse direction, beside its best way)",
                min(rate(f"pellucid plain, {who} sends") for who in ("server", "client")) / kernel_plain, at_least=1.0)
    answer.notes += [
        "Pellucid: a wire in memory, MTU 1500, segments of up to 64 KB taken whole as virtio does; nginx and the kernel: loopback, "
        "whose MTU is 65536, with every offload of the kernel's.",
        "Raw: the slower of sealing on core 0 and opening on core 1, each on bytes of its own that stay in its cache; handed_over: "
        "each sealed record is opened by the other core, which no stack can beat.",
        "server_cpu_share is the serving thread's whole time, server_busy_share that of its loops that found work.",
    ]
    rows = [("Pellucid, server sends", "pellucid TLS, server sends", "ours"), ("Pellucid, client sends", "pellucid TLS, client sends", "ours"),
            ("nginx", "nginx TLS, server sends", "rival"), ("kernel at its best, server sends", "kernel TLS, server sends", "rival"),
            ("kernel at its best, client sends", "kernel TLS, client sends", "rival"), ("raw AES-128-GCM, 16 KB", "raw AES-128-GCM, 16 KB", "limit")]
    answer.panel("TLS 1.3, AES-128-GCM", "GB/s", [(label, side, "gbytes_per_s", kind) for label, side, kind in rows])
    rows = [("Pellucid, server sends", "pellucid plain, server sends", "ours"), ("Pellucid, client sends", "pellucid plain, client sends", "ours"),
            ("nginx (sendfile)", "nginx plain, server sends", "rival"), ("kernel at its best, write", "kernel plain, server writes", "rival"),
            ("kernel at its best, sendfile", "kernel plain, server sendfile", "rival"),
            ("kernel, client sends, sendfile", "kernel plain, client sendfile", "rival")]
    answer.panel("in clear", "GB/s", [(label, side, "gbytes_per_s", kind) for label, side, kind in rows])
