# SPDX-License-Identifier: Apache-2.0
"""redis-server, unmodified, with TLS by policy under `pel run`, beside redis-server with its own TLS on the kernel: requests for
each second of CPU time on the server's side."""
import os
import re
import subprocess

from lib.answer import Answer
from lib.attached import ADDRESS, Attached, Program, cpu_s, wait_until
from lib.nginx import free_ports
from lib.world import Failure

TITLE = "redis-server unmodified, TLS by policy; 50 connections, GET"
PORT = 7001
SERVER = ["--save", "", "--protected-mode", "no", "--appendonly", "no", "--tcp-backlog", "511"]
# So many requests take some seconds; redis-benchmark counts requests, not time.
REQUESTS = {1: 200000, 16: 2000000}


def server_binary(bench):
    """Debian's redis-tools has the server under the name of its checker: it is the program that its name says it is."""
    path = bench.path("redis-server")
    if not os.path.exists(path):
        os.symlink("/usr/bin/redis-check-rdb", path)
    return path


def load(command, pids, requests):
    """Runs redis-benchmark; {figure: value} with the CPU time that `pids` used meanwhile."""
    before = sum(cpu_s(pid) for pid in pids)
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    used_s = sum(cpu_s(pid) for pid in pids) - before
    rate = re.findall(r"([\d.]+) requests per second", result.stdout)
    if result.returncode != 0 or not rate:
        raise Failure(f"{' '.join(command)}: {result.stdout[-500:]} {result.stderr[-500:]}")
    return {"requests_per_s": float(rate[-1]), "server_us": used_s / requests * 1e6, "requests_per_cpu_s": requests / max(used_s, 0.01)}


def benchmark(bench, address, port, pipeline, *more):
    requests = max(2000, int(REQUESTS[pipeline] * min(1.0, bench.seconds)))
    return ["redis-benchmark", "-h", address, "-p", str(port), "-t", "get", "-n", str(requests), "-c", "50", "-P", str(pipeline),
            "-d", "64", "-q", *more], requests


def attached(bench, world, redis, pipeline):
    def measure(side):
        command, requests = benchmark(bench, ADDRESS, PORT, pipeline)
        command = ["taskset", "-c", "1", *world.under("client", command)]
        bench.answer.commands[side] = " ".join(command)
        return load(command, [redis.pid, world.server.pid], requests)
    return measure


def kernel(bench, redis, port, pipeline):
    def measure(side):
        command, requests = benchmark(bench, "127.0.0.1", port, pipeline, "--tls", "--cacert",
                                      f"{bench.path('rings')}/root/ca/ca.crt", "--sni", "bench.test")
        command = ["taskset", "-c", "1", *command]
        bench.answer.commands[side] = " ".join(command)
        return load(command, [redis.pid], requests)
    return measure


def start(bench, command, log):
    redis = Program(command, 0, bench.path(log))

    def is_ready():
        redis.check()
        with open(redis.log) as file:
            return "Ready to accept" in file.read()
    wait_until("redis-server", is_ready)
    return redis


def ask(bench):
    answer = bench.answer = Answer("preload", TITLE)
    port = free_ports(1)[0]
    redis = server_binary(bench)
    programs = []
    with Attached(bench, PORT) as world:
        try:
            programs.append(start(bench, world.under("server", [redis, *SERVER, "--bind", "0.0.0.0", "--port", str(PORT)]),
                                  "redis.log"))
            programs.append(start(bench, [redis, *SERVER, "--bind", "127.0.0.1", "--port", "0", "--tls-port", str(port),
                                          "--tls-cert-file", f"{bench.ring('p256')}/web.crt", "--tls-key-file",
                                          f"{bench.ring('p256')}/web.key", "--tls-ca-cert-file",
                                          f"{bench.path('rings')}/root/ca/ca.crt", "--tls-auth-clients", "no",
                                          "--tls-ciphersuites", "TLS_AES_128_GCM_SHA256", "--tls-protocols", "TLSv1.3"],
                                  "redis-kernel.log"))
            ours, rival = programs
            sides = {}
            for pipeline in (1, 16):
                sides[f"pellucid, pipeline {pipeline}"] = attached(bench, world, ours, pipeline)
                sides[f"kernel, pipeline {pipeline}"] = kernel(bench, rival, port, pipeline)
            answer.add_rounds(bench.interleave(sides))
        finally:
            for program in programs:
                program.stop()
    for pipeline, least in ((1, 3.0), (16, 5.0)):
        answer.goal(f"requests for a second of the server side's CPU, pipeline {pipeline}: {least:g} x redis-server's own TLS",
                    answer.median(f"pellucid, pipeline {pipeline}", "requests_per_cpu_s")
                    / answer.median(f"kernel, pipeline {pipeline}", "requests_per_cpu_s"), at_least=least)
    answer.notes += ["The server's side of ours is redis-server and the daemon, both on core 0; the client's, redis-benchmark under a "
                     "daemon of its own, both on core 1; the wire is memory (memif). The rival's wire is loopback, whose work is "
                     "counted where the kernel does it, for the greater part with the sender."]
    for pipeline in (1, 16):
        answer.panel(f"requests for a second of server CPU, pipeline {pipeline}", "thousand", [
            ("Pellucid", f"pellucid, pipeline {pipeline}", "requests_per_cpu_s", "ours"),
            ("redis-server's TLS", f"kernel, pipeline {pipeline}", "requests_per_cpu_s", "rival")], scale=1e-3)
    return answer
