# SPDX-License-Identifier: Apache-2.0
"""64 bytes there and back over TLS by policy, one at a time, between two unmodified programs under `pel run`, beside the embedded API."""
from lib.answer import Answer
from lib.attached import ADDRESS, Attached, Program, wait_until
from lib.questions.latency import FIGURES, kernel, pellucid

TITLE = "64 bytes there and back, unmodified programs"
PORT = 7001


def attached(bench, world):
    def measure(side):
        command = ["taskset", "-c", "1", *world.under("client", [f"{bench.build}/bench/bench_ping", "client", ADDRESS, str(PORT),
                                                                 f"{bench.seconds:g}"])]
        result = bench.run_json(side, command)
        return {figure: result[figure] for figure in FIGURES}
    return measure


def ask(bench):
    answer = bench.answer = Answer("preload-latency", TITLE)
    with Attached(bench, PORT) as world:
        server = Program(world.under("server", [f"{bench.build}/bench/bench_ping", "server", str(PORT)]), 0, bench.path("ping.log"))
        try:
            def is_ready():
                server.check()
                with open(server.log) as file:
                    return "listening" in file.read()
            wait_until("bench_ping", is_ready)
            answer.add_rounds(bench.interleave({
                "pellucid preload, TLS": attached(bench, world),
                "pellucid embedded, TLS": pellucid(bench, "p256"),
                "kernel TLS": kernel(bench, True),
            }))
        finally:
            server.stop()
    answer.goal("latency, 64 B TLS ping-pong under pel run, p50: at most twice the embedded API's",
                answer.median("pellucid preload, TLS", "p50_us") / answer.median("pellucid embedded, TLS", "p50_us"), at_most=2.0)
    answer.notes += ["Four threads take part under pel run, a program and a daemon on each side, and share two cores: every step between "
                     "a program and its daemon is a switch of one core. The embedded API has one thread on each core, which polls; the "
                     "kernel's program spins on both."]
    for figure, name in zip(FIGURES, ("p50", "p99", "p99.9")):
        answer.panel(name, "us", [(side.replace("pellucid", "Pellucid"), side, figure, "rival" if side.startswith("kernel") else "ours")
                                  for side in answer.figures], higher_is_better=False)
    return answer
