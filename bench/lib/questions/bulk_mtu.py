# SPDX-License-Identifier: Apache-2.0
"""Bulk where every packet is 1500 bytes: no segmentation offload on our wire, nor on the veth pair of the kernel's."""
from lib.answer import Answer
from lib.nginx import Nginx
from lib.veth import Veth

TITLE = "one connection, MTU 1500, no segmentation offload"


def pellucid(bench, tls):
    def measure(side):
        result = bench.pellucid(side, "bulk", "--mtu", "1500", "--no-segment-offload", tls=tls)["results"][0]
        return {"gbytes_per_s": result["gbytes_per_s"], "server_cpu_share": result["server"]["cpu_s"] / result["seconds"],
                "server_busy_share": result["server"]["busy_s"] / result["seconds"]}
    return measure


def ask(bench):
    answer = bench.answer = Answer("bulk-mtu", TITLE)
    with Veth() as veth, Nginx(bench, veth.address, veth.server, veth.client) as nginx:
        left_on = veth.left_on()
        answer.add_rounds(bench.interleave({
            "pellucid TLS": pellucid(bench, "p256"),
            "nginx TLS": lambda side: nginx.curl(side, "p256"),
            "pellucid plain": pellucid(bench, None),
            "nginx plain": lambda side: nginx.curl(side, None),
        }))
    answer.goal("the same at MTU 1500 without segmentation offload: at least 3 x nginx over veth with offloads off",
                answer.median("pellucid TLS", "gbytes_per_s") / answer.median("nginx TLS", "gbytes_per_s"), at_least=3.0)
    answer.notes += ["Pellucid: a wire in memory that takes 1500 bytes at a time. nginx: a veth pair between two network namespaces, MTU "
                     "1500, segmentation, receive and checksum offloads switched off by ethtool; left on by the kernel all the same: "
                     + (", ".join(left_on) or "none") + "."]
    for title, mode in (("TLS 1.3, AES-128-GCM", "TLS"), ("in clear", "plain")):
        answer.panel(title, "GB/s", [("Pellucid", f"pellucid {mode}", "gbytes_per_s", "ours"),
                                     ("nginx over veth", f"nginx {mode}", "gbytes_per_s", "rival")])
    return answer
