#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How much there may be of it: an idle program is cheap for the daemon, and one program has ten thousand sockets at once."""
import resource

from programs_lab import GROUP, ON_KERNEL, Skip, expect, inbound, main

PORTS = {"tls": 9300, "clear": 9301}
POLICY = GROUP + inbound("MANY", PORTS["tls"], "root/web")
NUM = {"tls": 1500, "clear": 8500}
IDLE_KB = 1024

IDLE = "import socket, time; s = socket.create_server(('0.0.0.0', 9400)); print('idle', flush=True); time.sleep(600)"
ECHO = """
import asyncio, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
async def serve(reader, writer):
    while word := await reader.read(100):
        writer.write(word)
    writer.close()
async def main():
    servers = [await asyncio.start_server(serve, '0.0.0.0', port, backlog=1024) for port in (9300, 9301)]
    print('serving', flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))
asyncio.run(main())
"""


def idle(lab):
    if ON_KERNEL:
        raise Skip("there is no daemon")
    warm = lab.start_under("python3", "-c", IDLE.replace("9400", "9399"), log="warm.log")  # what the first one costs stays
    lab.wait_for("an idle program", lambda: "idle" in lab.log_of(warm), 30)
    before = lab.figures()["rss_kb"]
    programs = [lab.start_under("python3", "-c", IDLE.replace("9400", str(9400 + i)), log=f"idle{i}.log") for i in range(10)]
    lab.wait_for("ten idle programs", lambda: all("idle" in lab.log_of(program) for program in programs), 30)
    each_kb = (lab.figures()["rss_kb"] - before) / 10
    for program in programs:
        lab.stop(program)
    print(f"#   {each_kb:.0f} kB each", flush=True)
    expect(each_kb < IDLE_KB, f"an idle program costs the daemon {each_kb:.0f} kB")


def many(lab):
    resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
    server = lab.start_under("python3", "-c", ECHO, log="echo.log")
    lab.wait_for("the server", lambda: "serving" in lab.log_of(server), 30)
    socks = []
    try:
        for kind, num in NUM.items():
            for _ in range(num):
                socks.append(lab.connect(PORTS[kind], tls=kind == "tls"))
        for i, sock in enumerate(socks):
            sock.sendall(b"%d" % i)
        wrong = [i for i, sock in enumerate(socks) if sock.recv(100) != b"%d" % i]
        expect(not wrong, f"{len(wrong)} of {len(socks)} got something else, first {wrong[:5]}")
        if not ON_KERNEL:
            expect(lab.figures()["connections"] >= len(socks), f"{lab.figures()}")
    finally:
        for sock in socks:
            sock.close()
    if not ON_KERNEL:
        lab.wait_for("the connections to end", lambda: lab.figures()["connections"] == 0, 60)


def cases(lab, case):
    lab.start_stack(POLICY)
    case("ten idle programs cost the daemon less than 1 MB each", lambda: idle(lab))
    case(f"{sum(NUM.values())} sockets in one program, {NUM['tls']} of them with TLS", lambda: many(lab))


if __name__ == "__main__":
    raise SystemExit(main("scale", cases))
