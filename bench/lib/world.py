# SPDX-License-Identifier: Apache-2.0
"""What all questions share: the build's programs, keyrings, policies and files in a temporary folder, and running things.

A side of a question is a function that measures once and returns {figure: value}; Bench.interleave asks each of them in turn,
round by round, so that a neighbour's noise meets all alike.
"""
import json
import os
import shlex
import shutil
import subprocess
import tempfile

from lib import machine

PORTS = "7000 7015"
POLICY = """TTLSRule BENCH
{
  %s %s
  Direction %s
  TTLSGroupActionRef on
  TTLSEnvironmentActionRef env
}
TTLSGroupAction on
{
  TTLSEnabled On
}
TTLSEnvironmentAction env
{
  HandshakeRole %s
  TTLSKeyringParms
  {
    Keyring %s
  }
  TTLSCipherParmsRef suites
  TTLSGskAdvancedParmsRef full-handshakes
}
TTLSGskAdvancedParms full-handshakes
{
  GSK_SESSION_TICKET_CLIENT_ENABLE Off
}
TTLSCipherParms suites
{
  V3CipherSuites TLS_AES_128_GCM_SHA256
}
"""
BIG_MB = 2048


class Failure(Exception):
    """A question that cannot be answered, with the reason."""


class Bench:
    def __init__(self, root, build):
        self.root = root
        self.build = os.path.abspath(build)
        self.out = os.environ.get("PEL_BENCH_OUT", f"{self.build}/bench")
        self.rounds = int(os.environ.get("PEL_BENCH_ROUNDS", "5"))
        self.seconds = float(os.environ.get("PEL_BENCH_SECONDS", "1"))
        self.small = os.environ.get("PEL_BENCH_SMALL", "") not in ("", "0")
        self.machine = machine.describe()
        self.revision = machine.revision(root)
        self.answer = None  # the one that is being worked out: commands are noted there
        os.makedirs(self.out, exist_ok=True)
        self.dir = tempfile.mkdtemp(prefix="pellucid-bench-")
        os.chmod(self.dir, 0o755)

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    # ---- the folder ----

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, what):
        with open(self.path(name), "w") as out:
            out.write(what)
        return self.path(name)

    def prepare(self):
        pel = f"{self.build}/apps/pel/pel"
        rings = self.path("rings")
        run(pel, "keyring", "ca", "--dir", f"{rings}/root/ca", "--subject", "CN=Bench CA")
        for ring, key in (("p256", "p256"), ("rsa", "rsa2048")):
            run(pel, "keyring", "cert", "--dir", f"{rings}/root/{ring}", "--label", "web", "--subject", "CN=bench.test",
                "--dns", "bench.test", "--ca", f"{rings}/root/ca", "--key", key)
            self.write(f"server-{ring}.policy", POLICY % ("LocalPortRange", PORTS, "Inbound", "Server", ring))
        run(pel, "keyring", "cert", "--dir", f"{rings}/root/user", "--label", "user", "--subject", "CN=user", "--client",
            "--ca", f"{rings}/root/ca")
        self.write("client.policy", POLICY % ("RemotePortRange", PORTS, "Outbound", "Client", "user"))
        os.mkdir(self.path("www"))
        self.write("www/1k", "x" * 1024)
        with open(self.path("www/big"), "wb") as out:
            out.truncate(BIG_MB << 20)

    def ring(self, name):
        """A server's keyring: p256 or rsa; web.crt and web.key are in it."""
        return self.path(f"rings/root/{name}")

    # ---- running ----

    def warm_up_s(self):
        return 0.3 * min(1.0, self.seconds)

    def times(self, seconds=None):
        """The options of every program for how long it measures."""
        return ["--seconds", f"{seconds or self.seconds:g}", "--warm-up", f"{self.warm_up_s():g}"]

    def run_json(self, side, command, timeout=900):
        """Runs a program that prints JSON, noting it as the side's command."""
        self.answer.commands[side] = shlex.join(str(word) for word in command)
        try:
            result = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=timeout, check=False)
        except subprocess.TimeoutExpired as error:
            raise Failure(f"{shlex.join(str(w) for w in command)}: not done after {timeout} s") from error
        if result.returncode != 0:
            raise Failure(f"{shlex.join(str(w) for w in command)}: exit status {result.returncode}\n{result.stderr.strip()[-1500:]}")
        return json.loads(result.stdout)

    def pellucid(self, side, program, *options, tls=None, seconds=None):
        """One of our programs on a pair of engines; `tls` names the server's keyring, None: in clear."""
        command = [f"{self.build}/bench/bench_{program}", *self.times(seconds), *options]
        if tls is not None:
            command += ["--keyrings", self.path("rings"), "--client-policy", self.path("client.policy"), "--server-policy",
                        self.path(f"server-{tls}.policy")]
        return self.run_json(side, command)

    def kernel(self, side, mode, *options, tls=False, seconds=None):
        command = [f"{self.build}/bench/rivals/bench_kernel", mode, *self.times(seconds), *options]
        if tls:
            command += ["--tls", "--cert", f"{self.ring('p256')}/web.crt", "--key", f"{self.ring('p256')}/web.key"]
        return self.run_json(side, command)

    def interleave(self, sides):
        """{side: function} -> {side: [what it returned in each round]}"""
        rounds = {side: [] for side in sides}
        for _ in range(self.rounds):
            for side, measure in sides.items():
                rounds[side].append(measure(side))
        return rounds


def run(*command, **more):
    result = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    if result.returncode != 0:
        raise Failure(f"{shlex.join(command)}: exit status {result.returncode}\n{result.stderr.strip()[-1500:]}")
    return result.stdout


def server_us(result, number):
    """Both ways of counting a polling engine's CPU time, in us for each of `number`: its core's whole time, and the time of the
    loops that found work."""
    return {"server_us": result["server"]["cpu_s"] / number * 1e6, "server_busy_us": result["server"]["busy_s"] / number * 1e6}
