# SPDX-License-Identifier: Apache-2.0
"""The rate of requests while 100, 10,000 and 100,000 connections are open."""
from lib.answer import Answer
from lib.nginx import Nginx
from lib.world import Failure

TITLE = "the rate with many connections open"


def stages(bench):
    return (100, 1000, 2000) if bench.small else (100, 10000, 100000)


def figures_of(stage, round_):
    name = f"{stage['open']} open"
    return {f"{name}, {mode}": round_[mode]["requests_per_s"] for mode in ("spread", "few")} | {
        f"{name}, spread, server_busy_us": round_["spread"]["server"]["busy_s"] / round_["spread"]["requests"] * 1e6}


def rounds_of(result, num):
    """The stages' rounds, turned into rounds of all stages."""
    if any(len(stage["rounds"]) < num for stage in result["stages"]):
        raise Failure("the program gave up")
    return [{key: value for stage in result["stages"] for key, value in figures_of(stage, stage["rounds"][i]).items()} for i in range(num)]


def pellucid_plain(bench):
    """Each round opens all of them anew: stages in turn, round by round."""
    listed = ",".join(str(num) for num in stages(bench))
    return lambda side: rounds_of(bench.pellucid(side, "connections", "--list", listed, seconds=bench.seconds * 0.5), 1)[0]


def pellucid_tls(bench, side):
    """100,000 handshakes are paid once: all rounds at 100, then all at 10,000, then all at 100,000."""
    listed = ",".join(str(num) for num in stages(bench))
    result = bench.pellucid(side, "connections", "--list", listed, "--rounds", str(bench.rounds), tls="p256", seconds=bench.seconds * 0.5)
    return rounds_of(result, bench.rounds)


def nginx_all(bench, nginx, side, tls):
    listed = ",".join(str(num) for num in stages(bench)[:2])
    result = nginx.client(side, "rps", "--in-flight", "64", "--list", listed, "--rounds", str(bench.rounds), tls=tls, seconds=bench.seconds * 0.5)
    by_stage = {}
    for row in result["results"]:
        by_stage.setdefault(row["open"], []).append(row["requests_per_s"])
    return [{f"{num} open, spread": values[i] for num, values in by_stage.items()} for i in range(bench.rounds)]


def ask(bench):
    answer = bench.answer = Answer("connections", TITLE)
    rounds = bench.interleave({"pellucid plain": pellucid_plain(bench)})
    rounds["pellucid TLS"] = pellucid_tls(bench, "pellucid TLS")
    with Nginx(bench) as nginx:
        for side, tls in (("nginx TLS", "p256"), ("nginx plain", None)):
            rounds[side] = nginx_all(bench, nginx, side, tls)
    answer.add_rounds(rounds)
    few, _, many = stages(bench)
    for mode in ("TLS", "plain"):
        for kind, text in (("spread", "requests spread over all connections in turn"), ("few", "requests on 64 connections, the others idle")):
            answer.goal(f"connections: rate at {many:,} open at least 90 % of that at {few:,} ({mode}, {text})",
                        answer.median(f"pellucid {mode}", f"{many} open, {kind}") / answer.median(f"pellucid {mode}", f"{few} open, {kind}"), at_least=0.9)
    answer.notes += ["64 requests are under way at any time. spread: whoever is answered hands its turn to the next connection of all that are "
                     "open, so that a connection is asked again only after all others; few: on 64 of them, the others idle.",
                     "In clear every round opens all stages anew; with TLS the connections are opened once and the rounds of a stage follow each "
                     "other. nginx: 100 and 10,000 over loopback, where a pair of addresses has ports for no more than 28,000, spread.",
                     "Both ends' connections are in one process and share its caches."]
    for mode in ("TLS", "plain"):
        rows = [(f"Pellucid, {num:,} open, {kind}", f"pellucid {mode}", f"{num} open, {kind}", "ours") for kind in ("spread", "few") for num in stages(bench)]
        rows += [(f"nginx, {num:,} open, spread", f"nginx {mode}", f"{num} open, spread", "rival") for num in stages(bench)[:2]]
        answer.panel("TLS" if mode == "TLS" else "in clear", "thousand requests a second", rows, scale=1e-3)
    return answer
