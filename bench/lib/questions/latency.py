# SPDX-License-Identifier: Apache-2.0
"""64 bytes there and back, one at a time."""
from lib.answer import Answer

TITLE = "64 bytes there and back"
FIGURES = ("p50_us", "p99_us", "p999_us")


def pellucid(bench, tls):
    def measure(side):
        result = bench.pellucid(side, "latency", tls=tls)
        return {figure: result[figure] for figure in FIGURES}
    return measure


def kernel(bench, tls):
    def measure(side):
        result = bench.kernel(side, "ping", "--spin", tls=tls)
        return {figure: result[figure] for figure in FIGURES}
    return measure


def ask(bench):
    answer = bench.answer = Answer("latency", TITLE)
    answer.add_rounds(bench.interleave({
        "pellucid TLS": pellucid(bench, "p256"), "kernel TLS": kernel(bench, True),
        "pellucid plain": pellucid(bench, None), "kernel plain": kernel(bench, False),
    }))
    answer.goal("latency, 64 B TLS ping-pong, p50: at most 1/5 of plain sockets with OpenSSL, spinning",
                answer.median("pellucid TLS", "p50_us") / answer.median("kernel TLS", "p50_us"), at_most=0.2)
    answer.notes += ["Both engines poll; the kernel's two threads spin on sockets that do not block, over loopback with TCP_NODELAY."]
    for figure, name in zip(FIGURES, ("p50", "p99", "p99.9")):
        answer.panel(name, "us", [(side.replace("pellucid", "Pellucid"), side, figure, "ours" if side.startswith("pellucid") else "rival")
                                  for side in answer.figures], higher_is_better=False)
    return answer
