# SPDX-License-Identifier: Apache-2.0
"""A laboratory for tests with real peers: a network namespace of its own, keyrings, programs of the build with a tap port,
and a TAP reporter. Everything is removed at the end, also after an interrupt; only what was started here is killed."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

RULE = """TTLSRule {name}
{{
  {port_word} {port}
  Direction {direction}
  Priority {priority}
  TTLSGroupActionRef on
  TTLSEnvironmentAction
  {{
    HandshakeRole {role}
    TTLSKeyringParms
    {{
      Keyring {ring}
    }}
{more}  }}
}}
"""
GROUP = "TTLSGroupAction on\n{\n  TTLSEnabled On\n}\n"


def advanced(*lines):
    return "    TTLSEnvironmentAdvancedParms\n    {\n" + "".join(f"      {line}\n" for line in lines) + "    }\n"


def suites(*names):
    return "    TTLSCipherParms\n    {\n" + "".join(f"      V3CipherSuites4Char {name}\n" for name in names) + "    }\n"


def inbound(name, port, ring, role="Server", more="", priority=1):
    return RULE.format(name=name, port_word="LocalPortRange", port=port, direction="Inbound", role=role, ring=ring,
                       more=more, priority=priority)


def outbound(name, port, ring, more="", priority=1):
    return RULE.format(name=name, port_word="RemotePortRange", port=port, direction="Outbound", role="Client", ring=ring,
                       more=more, priority=priority)


class Skip(Exception):
    """A case that cannot run here, with the reason."""


class Reporter:
    """Test Anything Protocol on stdout."""

    def __init__(self):
        self.num = 0
        self.num_failed = 0

    def case(self, name, run):
        self.num += 1
        try:
            run()
            print(f"ok {self.num} - {name}", flush=True)
        except Skip as skip:
            print(f"ok {self.num} - {name} # SKIP {skip}", flush=True)
        except Exception as error:  # a case that breaks is a case that fails
            self.num_failed += 1
            print(f"not ok {self.num} - {name}", flush=True)
            for line in f"{type(error).__name__}: {error}".splitlines():
                print(f"# {line}", flush=True)

    def end(self):
        print(f"1..{self.num}", flush=True)
        return 1 if self.num_failed else 0


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


class Lab:
    def __init__(self, build, name):
        self.build = os.path.abspath(build)
        self.ns = f"pel-{name}-{os.getpid()}"
        self.dir = tempfile.mkdtemp(prefix="pellucid-interop-")
        os.chmod(self.dir, 0o755)
        self.started = []
        self.refused = []  # what a daemon's sandbox did not let it do
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: sys.exit(1))

    def __enter__(self):
        subprocess.run(["ip", "netns", "add", self.ns], check=True)
        self.run("ip", "link", "set", "lo", "up")
        return self

    def __exit__(self, *_):
        for process in list(self.started):
            self.stop(process)
        subprocess.run(["ip", "netns", "del", self.ns], check=False)
        shutil.rmtree(self.dir, ignore_errors=True)

    # ---- commands ----

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        with open(self.path(name), "w") as out:
            out.write(text)
        return self.path(name)

    def app(self, name):
        return f"{self.build}/apps/{name}/{name}"

    def run(self, *command, check=True, timeout=60, **more):
        """Runs a command in the namespace; stdout and stderr together."""
        more.setdefault("stdin", subprocess.DEVNULL)
        if "input" in more:
            del more["stdin"]
        result = subprocess.run(["ip", "netns", "exec", self.ns, *command], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, timeout=timeout, **more)
        result.text = result.stdout.decode("utf-8", "replace")
        if check and result.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: exit status {result.returncode}\n{result.text[-2000:]}")
        return result

    def start(self, *command, log):
        with open(self.path(log), "wb") as out:
            process = subprocess.Popen(["ip", "netns", "exec", self.ns, *command], stdin=subprocess.PIPE, stdout=out,
                                       stderr=subprocess.STDOUT)
        process.log = self.path(log)
        self.started.append(process)
        return process

    def stop(self, process, number=signal.SIGTERM):
        if process in self.started:
            self.started.remove(process)
        if process.poll() is None:
            process.send_signal(number)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        process.stdin.close()
        self.refused += [line for line in self.log_of(process).splitlines() if "sandbox: refused system call" in line]
        return process.returncode

    def log_of(self, process):
        with open(process.log, errors="replace") as text:
            return text.read()

    def wait_for(self, what, done, seconds=20.0):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if done():
                return
            time.sleep(0.05)
        raise AssertionError(f"waited {seconds:g} s in vain for {what}")

    def pel(self, *arguments, check=True):
        return self.run(self.app("pel"), *arguments, check=check)

    # ---- keyrings ----

    def ring(self, name):
        return self.path(f"rings/root/{name}")

    def make_ca(self, name, *more):
        self.pel("keyring", "ca", "--dir", self.ring(name), "--subject", f"CN={name}", *more)

    def make_cert(self, name, ca, *more):
        self.pel("keyring", "cert", "--dir", self.ring(name), "--label", "mine", "--subject", f"CN={name}", "--ca",
                 self.ring(ca), *more)

    # ---- programs of the build ----

    def config(self, name, policy, device="net_tap0,iface=pel0", mtu=1500, addresses=("10.77.0.2/24", "fd77::2/64"),
               more=""):
        """Writes NAME.policy and NAME.yaml; returns the latter's path."""
        self.write(f"{name}.policy", policy)
        listed = ", ".join(f'"{address}"' for address in addresses)
        return self.write(f"{name}.yaml", f"""port:
  device: "{device}"
  mtu: {mtu}
ip:
  addresses: [ {listed} ]
{more}policy:
  files: [ "{self.path(name + '.policy')}" ]
  keyring_dir: "{self.path('rings')}"
control:
  socket: "{self.path(name + '.sock')}"
""")

    def start_httpd(self, config, *listen, more=()):
        arguments = [word for address in listen for word in ("--listen", address)]
        process = self.start(self.app("httpd"), "--config", config, "--root", self.path("www"), "--upload-dir",
                             self.path("up"), *arguments, *more, log="httpd.log")
        self.wait_for("httpd", lambda: process.poll() is not None or "httpd: serving" in self.log_of(process), 20)
        expect(process.poll() is None, f"httpd did not start:\n{self.log_of(process)}")
        return process

    def address_tap(self, mtu=1500):
        self.wait_for("the interface", lambda: self.run("ip", "link", "show", "pel0", check=False).returncode == 0)
        self.run("ip", "link", "set", "pel0", "mtu", str(mtu), "up")
        self.run("ip", "addr", "add", "10.77.0.1/24", "dev", "pel0")
        self.run("ip", "addr", "add", "fd77::1/64", "dev", "pel0", "nodad")

    def control(self, verb, name="httpd", *more):
        return json.loads(self.pel(verb, "--json", "--socket", self.path(f"{name}.sock"), *more).text)

    def stat(self, which, name="httpd"):
        reply = self.control("stats", name, "--all")
        for row in reply["stats"] + reply["errors"]:
            if row["name"] == which:
                return row["value"]
        raise AssertionError(f"no statistic {which}")


def judge_refusals(lab, reporter):
    """Only when there are some: a case that fails."""
    if lab.refused:
        reporter.case("a daemon does nothing that its sandbox refuses", lambda: expect(False, "\n".join(lab.refused)))


def main(name, cases, usage="BUILD_DIR"):
    """Runs `cases(lab, reporter)` in a laboratory; exit status for meson's protocol 'tap'."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} {usage}")
    reporter = Reporter()
    if os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
        print("1..0 # SKIP needs root and /dev/net/tun")
        return 0
    with Lab(sys.argv[1], name) as lab:
        cases(lab, reporter)
    judge_refusals(lab, reporter)
    return reporter.end()
