# SPDX-License-Identifier: Apache-2.0
"""Requests of 1 KB over 64 connections: what each costs the server."""
from lib.answer import Answer
from lib.nginx import Nginx
from lib.world import server_us

TITLE = "requests of 1 KB, 64 connections"


def pellucid(bench, tls):
    def measure(side):
        result = bench.pellucid(side, "rps", "--connections", "64", tls=tls)
        return {"requests_per_s": result["requests_per_s"], **server_us(result, result["requests"])}
    return measure


def ask(bench):
    answer = bench.answer = Answer("rps", TITLE)
    with Nginx(bench) as nginx:
        answer.add_rounds(bench.interleave({
            "pellucid TLS": pellucid(bench, "p256"),
            "nginx TLS": lambda side: nginx.wrk(side, "p256"),
            "pellucid plain": pellucid(bench, None),
            "nginx plain": lambda side: nginx.wrk(side, None),
        }))
    answer.goal("rps, server CPU a request: at most 1/10 of nginx's with TLS (our core's whole time counted)",
                answer.median("pellucid TLS", "server_us") / answer.median("nginx TLS", "server_us"), at_most=0.1)
    answer.notes += ["Ours answers any 100 bytes with 1,024, where nginx parses HTTP and serves a file of 1,024 with a head.",
                     "server_us is our serving thread's whole time, which polls; server_busy_us that of its loops that found work; of "
                     "nginx its worker's time as the scheduler counts it."]
    answer.panel("server CPU a request", "us", [
        ("Pellucid TLS, whole core", "pellucid TLS", "server_us", "ours"), ("Pellucid TLS, busy", "pellucid TLS", "server_busy_us", "ours"),
        ("nginx TLS", "nginx TLS", "server_us", "rival"), ("Pellucid plain, whole core", "pellucid plain", "server_us", "ours"),
        ("nginx plain", "nginx plain", "server_us", "rival")], higher_is_better=False)
    answer.panel("rate", "thousand requests a second", [
        (side.replace("pellucid", "Pellucid"), side, "requests_per_s", "ours" if side.startswith("pellucid") else "rival")
        for side in answer.figures], scale=1e-3)
    return answer
