# SPDX-License-Identifier: Apache-2.0
"""nginx with OpenSSL as a rival: one worker on core 0, files from a folder, TLS 1.3 with one suite."""
import re
import shlex
import socket
import subprocess
import time

from lib import machine
from lib.world import Failure

CONFIG = """daemon off; master_process on; worker_processes 1; worker_cpu_affinity 01; worker_rlimit_nofile 65536;
error_log stderr crit; pid %(dir)s/nginx.pid;
events { worker_connections 32768; }
http {
  access_log off; sendfile on; keepalive_requests 1000000000; keepalive_timeout 3600;
  client_body_temp_path %(dir)s; proxy_temp_path %(dir)s; fastcgi_temp_path %(dir)s; uwsgi_temp_path %(dir)s;
  scgi_temp_path %(dir)s;
  ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
  server { listen %(clear)s; root %(dir)s/www; }
  server { listen %(p256)s ssl; root %(dir)s/www; ssl_certificate %(ring)s/p256/web.crt; ssl_certificate_key %(ring)s/p256/web.key; }
  server { listen %(rsa)s ssl; root %(dir)s/www; ssl_certificate %(ring)s/rsa/web.crt; ssl_certificate_key %(ring)s/rsa/web.key; }
}
"""


def free_ports(num):
    """Ports of loopback that nobody has now."""
    sockets = [socket.socket() for _ in range(num)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Nginx:
    """`with Nginx(bench) as nginx`: on loopback, or at `address` with every command behind `server_ns` and `client_ns` (words
    that run a command in a namespace)."""

    def __init__(self, bench, address="127.0.0.1", server_ns=(), client_ns=()):
        self.bench = bench
        self.server_ns, self.client_ns = list(server_ns), list(client_ns)
        self.at = {name: f"{address}:{port}" for name, port in zip(("clear", "p256", "rsa"), free_ports(3))}
        self.process = None

    def __enter__(self):
        bench = self.bench
        config = bench.write("nginx.conf", CONFIG % {"dir": bench.dir, "ring": bench.path("rings/root"), **self.at})
        self.process = subprocess.Popen([*self.server_ns, "nginx", "-c", config, "-p", bench.dir], stderr=subprocess.PIPE,
                                        text=True)
        for _ in range(100):
            if self.process.poll() is not None:
                break
            if subprocess.run([*self.client_ns, "curl", "-s", "-o", "/dev/null", f"http://{self.at['clear']}/1k"],
                              check=False).returncode == 0:
                return self
            time.sleep(0.05)
        self.__exit__()
        raise Failure(f"nginx does not answer on {self.at['clear']}: {self.process.stderr.read().strip()[-500:]}")

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def url(self, tls):
        return f"https://{self.at[tls]}" if tls else f"http://{self.at['clear']}"

    @property
    def worker(self):
        """The worker's process id. `ip netns exec` becomes the program that it runs."""
        pid = self.process.pid
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return int(file.read().split()[0])

    # ---- clients ----

    def curl(self, side, tls):
        """One download as long as a round; {"gbytes_per_s", "server_cpu_share"}"""
        command = [*self.client_ns, "taskset", "-c", "1", "curl", "-sk", "-o", "/dev/null", "-m", f"{self.bench.seconds:g}", "-w",
                   "%{size_download} %{time_total} %{time_starttransfer}", f"{self.url(tls)}/big"]
        self.bench.answer.commands[side] = shlex.join(command)
        cpu_s, begin = machine.process_cpu_s(self.worker), time.monotonic()
        out = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        cpu_s, wall_s = machine.process_cpu_s(self.worker) - cpu_s, time.monotonic() - begin
        size, total, start = (float(word) for word in out.split())
        if size == 0 or total <= start:
            raise Failure(f"{shlex.join(command)}: nothing came")
        return {"gbytes_per_s": size / (total - start) / 1e9, "server_cpu_share": cpu_s / wall_s}

    def wrk(self, side, tls):
        """1 KB over 64 connections for a round, in whole seconds; {"requests_per_s", "server_us"}"""
        command = [*self.client_ns, "taskset", "-c", "1", "wrk", "-t1", "-c64", f"-d{max(1, round(self.bench.seconds))}s",
                   f"{self.url(tls)}/1k"]
        self.bench.answer.commands[side] = shlex.join(command)
        cpu_s = machine.process_cpu_s(self.worker)
        out = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        cpu_s = machine.process_cpu_s(self.worker) - cpu_s
        found = re.search(r"(\d+) requests in", out), re.search(r"Requests/sec:\s+([\d.]+)", out)
        if None in found or int(found[0].group(1)) == 0:
            raise Failure(f"{shlex.join(command)}: {out}")
        return {"requests_per_s": float(found[1].group(1)), "server_us": cpu_s / int(found[0].group(1)) * 1e6}

    def client(self, side, mode, *options, tls=None, seconds=None):
        """A mode of bench_kernel that is a client of nginx."""
        return self.bench.kernel(side, mode, "--connect", self.at[tls or "clear"], "--server-pid", str(self.worker), *options,
                                 tls=tls is not None, seconds=seconds)
