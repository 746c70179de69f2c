# SPDX-License-Identifier: Apache-2.0
"""What an idle connection holds, everything counted."""
import shlex
import subprocess

from lib import machine
from lib.answer import Answer
from lib.nginx import Nginx
from lib.world import Failure

TITLE = "memory of an idle connection"


def pellucid(bench, tls):
    num = 1000 if bench.small else 5000

    def measure(side):
        result = bench.pellucid(side, "memory", "--connections", str(num), tls=tls, seconds=min(0.5, bench.seconds))
        return {"bytes_an_end": result["bytes_both_ends"] / 2, "bytes_an_end_trimmed": result["bytes_both_ends_trimmed"] / 2,
                "heap_bytes_server": result["heap_bytes_server"], "heap_bytes_client": result["heap_bytes_client"]}
    return measure


def nginx_holding(bench, tls):
    """A fresh nginx each round, whose worker has kept nothing from before."""
    num = 500 if bench.small else 2000

    def measure(side):
        with Nginx(bench) as nginx:
            # What is made once is made by the first connections.
            nginx.client(side, "rps", "--list", "64", "--in-flight", "64", tls=tls, seconds=0.1)
            command = [f"{bench.build}/bench/rivals/bench_kernel", "hold", "--connect", nginx.at[tls or "clear"], "--connections",
                       str(num)] + (["--tls"] if tls else [])
            bench.answer.commands[side] = shlex.join(command)
            rss, slab = machine.process_rss(nginx.worker), machine.kernel_slab()
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
                if holder.stdout.readline() == "":
                    raise Failure(f"{shlex.join(command)}: exit status {holder.wait()}")
                rss, slab = machine.process_rss(nginx.worker) - rss, machine.kernel_slab() - slab
                holder.stdin.close()
            return {"worker_bytes": rss / num, "kernel_bytes_an_end": slab / num / 2, "bytes_an_end": rss / num + max(slab, 0) / num / 2}
    return measure


def ask(bench):
    answer = bench.answer = Answer("memory", TITLE)
    answer.add_rounds(bench.interleave({
        "pellucid TLS": pellucid(bench, "p256"), "nginx TLS": nginx_holding(bench, "p256"),
        "pellucid plain": pellucid(bench, None), "nginx plain": nginx_holding(bench, None),
    }))
    answer.goal("memory, idle TLS connection: under 4 KiB, everything counted (process growth / connections)",
                answer.median("pellucid TLS", "bytes_an_end"), at_most=4095, unit="bytes")
    answer.notes += ["Each connection was asked for 1 KB once and is then idle. Ours: the growth of the process's resident memory, in which both "
                     "ends of every connection are, so that an end is half of it; the heaps of the two engines' threads tell the ends apart as "
                     "far as the allocator goes. Trimmed: after malloc_trim.",
                     "nginx: the growth of its worker's resident memory, and half of the growth of the kernel's slabs, in which both ends' sockets are."]
    answer.panel("bytes of one end, everything counted", "bytes", [
        (side.replace("pellucid", "Pellucid"), side, "bytes_an_end", "ours" if side.startswith("pellucid") else "rival") for side in answer.figures],
        higher_is_better=False)
    return answer
