# SPDX-License-Identifier: Apache-2.0
"""Two daemons with a wire of memory (memif) between them, each with a core of its own, for programs that are started with
`pel run`: the server's side on core 0, the client's on core 1. The server's policy takes its port as TLS, the client's opens it so."""
import os
import shlex
import signal
import subprocess
import time

from lib.world import POLICY, Failure

CONFIG = """packet: {{ hugepages: no, memory_mb: 512 }}
port: {{ device: "{device}" }}
ip: {{ addresses: [ "10.7.0.{host}/24" ] }}
policy: {{ files: [ "{policy}" ], keyring_dir: "{rings}" }}
control: {{ socket: "{control}" }}
attach: {{ socket: "{attach}" }}
"""
ADDRESS = "10.7.0.1"
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid):
    """CPU time of all threads of a process."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def wait_until(what, condition, timeout_s=20):
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    raise Failure(f"{what}: not within {timeout_s} s")


class Program:
    """A process with its output in a file; `core`: the one core that it may use."""

    def __init__(self, command, core, log):
        self.command = ["taskset", "-c", str(core), *(str(word) for word in command)]
        self.log = log
        with open(log, "w") as out:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        self.pid = self.process.pid  # taskset becomes the command

    def check(self):
        if self.process.poll() is not None:
            with open(self.log) as file:
                raise Failure(f"{shlex.join(self.command)}: ended with {self.process.returncode}\n{file.read()[-1500:]}")
        return True

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Attached:
    """`with Attached(bench, port) as world`; `port` is the TLS one. world.run_server(command) and world.run_client(command) are
    the words that start a program under each daemon."""

    def __init__(self, bench, port):
        self.bench = bench
        self.port = port
        self.daemons = []

    def daemon(self, host, role, policy):
        bench = self.bench
        attach = bench.path(f"attach-{role}.sock")
        device = f"net_memif0,role={role},id=0,socket={bench.path('memif.sock')}"
        config = bench.write(f"{role}.yaml", CONFIG.format(device=device, host=host, policy=policy, rings=bench.path("rings"),
                                                           control=bench.path(f"control-{role}.sock"), attach=attach))
        daemon = Program([f"{bench.build}/apps/pel/pel", "stack", "--config", config], host - 1, bench.path(f"{role}.log"))
        self.daemons.append(daemon)
        wait_until(f"pel stack ({role})", lambda: daemon.check() and os.path.exists(attach))
        return daemon

    def __enter__(self):
        bench = self.bench
        ports = f"{self.port} {self.port}"
        server = bench.write("attached-server.policy", POLICY % ("LocalPortRange", ports, "Inbound", "Server", "p256"))
        client = bench.write("attached-client.policy", POLICY % ("RemotePortRange", ports, "Outbound", "Client", "user"))
        try:
            self.server = self.daemon(1, "server", server)
            self.client = self.daemon(2, "client", client)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for daemon in reversed(self.daemons):
            daemon.stop()

    def under(self, role, command):
        return [f"{self.bench.build}/apps/pel/pel", "run", "--attach", self.bench.path(f"attach-{role}.sock"), "--", *command]
