# SPDX-License-Identifier: Apache-2.0
"""What a TLS 1.3 handshake costs the server: in our stack, in nginx, and in BoringSSL alone in memory."""
from lib.answer import Answer
from lib.nginx import Nginx
from lib.world import Failure, server_us

TITLE = "TLS 1.3 handshakes, server CPU of each"


def pellucid(bench, ring):
    def measure(side):
        result = bench.pellucid(side, "handshake", "--in-flight", "8", tls=ring)
        return {"handshakes_per_s": result["handshakes_per_s"], **server_us(result, result["handshakes"])}
    return measure


def nginx_client(bench, nginx, ring, resume=False):
    def measure(side):
        result = nginx.client(side, "handshake", "--in-flight", "8", *(["--resume"] if resume else []), tls=ring)
        wanted = result["handshakes"] if resume else 0
        if result["resumed"] != wanted:
            raise Failure(f"{side}: {result['resumed']} of {result['handshakes']} handshakes resumed, not {wanted}")
        return {"handshakes_per_s": result["handshakes_per_s"], "server_us": result["server"]["cpu_s"] / result["handshakes"] * 1e6}
    return measure


def in_memory(bench, ring, resume=False):
    """Both servers in one program; interleaved in it, so that one run answers for both."""
    command = [f"{bench.build}/bench/tls/bench_handshakes", "--cert", f"{bench.ring(ring)}/web.crt", "--key",
               f"{bench.ring(ring)}/web.key", "--keyring", bench.ring(ring), "--label", "web", "--seconds", f"{bench.seconds:g}"]

    def measure(side):
        result = bench.run_json(side, command + (["--resume"] if resume else []))
        return {f"{who}_server_us": result[who]["us_per_handshake"] for who in ("boringssl", "pellucid")}
    return measure


def ask(bench):
    answer = bench.answer = Answer("handshake", TITLE)
    with Nginx(bench) as nginx:
        answer.add_rounds(bench.interleave({
            "pellucid P-256": pellucid(bench, "p256"),
            "in memory P-256": in_memory(bench, "p256"),
            "nginx P-256": nginx_client(bench, nginx, "p256"),
            "pellucid RSA-2048": pellucid(bench, "rsa"),
            "in memory RSA-2048": in_memory(bench, "rsa"),
            "nginx RSA-2048": nginx_client(bench, nginx, "rsa"),
            "in memory resumed": in_memory(bench, "p256", resume=True),
            "nginx resumed": nginx_client(bench, nginx, "p256", resume=True),
        }))
    ours = answer.median("pellucid P-256", "server_busy_us")
    answer.goal("handshake, full P-256, server CPU: at most 1.15 x BoringSSL in memory",
                ours / answer.median("in memory P-256", "boringssl_server_us"), at_most=1.15)
    answer.goal("handshake, full P-256, server CPU: at most 0.4 x nginx's", ours / answer.median("nginx P-256", "server_us"), at_most=0.4)
    answer.notes += [
        "Pellucid: TCP, accept, policy, handshake, tickets, one byte of data and the reset of each connection, 8 at a time. The client, "
        "which checks two signatures where the server makes one, is the slower side with P-256, so that the serving core idles: the goals "
        "take server_busy_us, the time of its loops that found work; server_us is its core's whole time.",
        "In memory: SSL_new, handshake, tickets, one byte, SSL_free; the server's time alone, with both cores doing the same. "
        "pellucid_server_us is our TLS layer without TCP, against the same BoringSSL client.",
        "Our own client's policy keeps no tickets, so that its handshakes are full ones; resumption is measured in memory; nginx's by a client that offers one ticket again and again.",
    ]
    for kind in ("P-256", "RSA-2048", "resumed"):
        rows = [("BoringSSL in memory", f"in memory {kind}", "boringssl_server_us", "limit"),
                ("Pellucid's TLS layer in memory", f"in memory {kind}", "pellucid_server_us", "ours"),
                ("nginx", f"nginx {kind}", "server_us", "rival")]
        if kind != "resumed":
            rows[1:1] = [("Pellucid, busy loops", f"pellucid {kind}", "server_busy_us", "ours"),
                         ("Pellucid, whole core", f"pellucid {kind}", "server_us", "ours")]
        answer.panel(("full, " if kind != "resumed" else "") + kind, "us of server CPU a handshake", rows, higher_is_better=False)
    return answer
