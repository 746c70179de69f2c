#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Web servers that know no TLS, under the stack, reached by kernel clients over TLS: nginx with two workers, also while it
reloads and with TLS of its own beside; haproxy in front of both kinds of backend; node; Java; python3 -m http.server."""
import os
import re
import signal
import time

from programs_lab import (GROUP, KERNEL, ON_KERNEL, STACK, STACK6, STACK_NAME, expect, inbound, main, need,
                          outbound)

PORTS = {"nginx": 8443, "own": 9443, "python": 8444, "node": 8445, "java": 8446, "haproxy": 8447, "cluster": 8448, "reuse": 8449, "origin": 7443,
         "plain": 7080}
POLICY = GROUP + "".join((
    inbound("NGINX", PORTS["nginx"], "root/web"),
    inbound("PYTHON", PORTS["python"], "root/web"),
    inbound("NODE", PORTS["node"], "root/web"),
    inbound("CLUSTER", PORTS["cluster"], "root/web"),
    inbound("REUSE", PORTS["reuse"], "root/web"),
    inbound("JAVA", PORTS["java"], "root/web"),
    inbound("HAPROXY", PORTS["haproxy"], "root/web"),
    outbound("TO_ORIGIN", PORTS["origin"], "root/trusting"),
))
HTTP_GET = b"GET /hello HTTP/1.1\r\nHost: stack.example\r\nConnection: close\r\n\r\n"

NGINX = """daemon off; worker_processes 2; error_log {dir}/nginx.err info; pid {dir}/nginx.pid; user root;
events {{ worker_connections 512; }}
http {{
  log_format seen '$pid $server_port $scheme $remote_addr $request_method $uri $status';
  access_log {dir}/nginx.log seen; sendfile on; tcp_nopush on; root {dir}/www; keepalive_requests 100000;
  client_body_temp_path {dir}/tmp1; proxy_temp_path {dir}/tmp2; fastcgi_temp_path {dir}/tmp3; uwsgi_temp_path {dir}/tmp4;
  scgi_temp_path {dir}/tmp5; client_max_body_size 64m;
  server {{ listen {nginx}; listen [::]:{nginx};
            location /put/ {{ root {dir}/up; dav_methods PUT; create_full_put_path on; }} }}
  server {{ listen {reuse} reuseport; }}
  server {{ listen {own} ssl; ssl_certificate {cert}; ssl_certificate_key {key}; }}
}}
"""

HAPROXY = """global
  nbthread 2
  maxconn 512
defaults
  mode http
  timeout connect 20s
  timeout client 20s
  timeout server 20s
frontend front
  bind 0.0.0.0:{haproxy}
  use_backend secure if {{ path_beg /secure }}
  default_backend plain
backend plain
  server one {kernel}:{plain}
backend secure
  http-request set-path %[path,regsub(^/secure,)]
  server two {kernel}:{origin}
"""

NODE = """
const http = require('http'), fs = require('fs');
const cluster = require('cluster');
if (process.argv[4] && cluster.isPrimary) {
  for (let i = 0; i < Number(process.argv[4]); i++)
    cluster.fork();
  cluster.on('exit', () => console.log('a worker ended'));
  process.on('SIGTERM', () => process.exit(0));
} else http.createServer((request, response) => {
  response.setHeader('X-Process', String(process.pid));
  if (request.method === 'POST') {
    request.pipe(response);
    return;
  }
  const file = fs.createReadStream(process.argv[2] + request.url);
  file.on('error', () => { response.statusCode = 404; response.end(); });
  file.pipe(response);
}).listen(Number(process.argv[3]), () => console.log('serving'));
process.on('SIGTERM', () => process.exit(0));
"""

JAVA = """
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.nio.file.*;
import java.util.concurrent.Executors;

public class Server {
    public static void main(String[] args) throws Exception {
        Path root = Path.of(args[0]);
        HttpServer server = HttpServer.create(new InetSocketAddress(Integer.parseInt(args[1])), 64);
        server.createContext("/", exchange -> {
            byte[] body = exchange.getRequestMethod().equals("POST") ? exchange.getRequestBody().readAllBytes()
                : Files.readAllBytes(root.resolve(exchange.getRequestURI().getPath().substring(1)));
            exchange.sendResponseHeaders(200, body.length);
            try (var out = exchange.getResponseBody()) {
                out.write(body);
            }
        });
        server.setExecutor(Executors.newFixedThreadPool(4));
        server.start();
        System.out.println("serving");
    }
}
"""


class Web:
    def __init__(self, lab, case):
        self.lab = lab
        self.case = case

    def url(self, name):
        return f"{self.lab.https}:{PORTS[name]}"

    def ab(self, name, number, clients, *more):
        scheme = "http" if ON_KERNEL else "https"
        return ("ab", "-q", "-n", str(number), "-c", str(clients), *(() if ON_KERNEL else ("-f", "TLS1.3")), *more,
                f"{scheme}://{STACK}:{PORTS[name]}/hello")

    def expect_all_served(self, text, number):
        expect(re.search(r"Failed requests:\s+0\n", text) and re.search(rf"Complete requests:\s+{number}\n", text) and
               "Non-2xx" not in text, text[-2500:])

    def common_cases(self, name, rule):
        """What is asked of every server: equal bytes, one after the other and at once, and nothing in clear."""
        lab = self.lab

        def equal():
            lab.fetch_same(self.url(name), "hello")
            lab.fetch_same(self.url(name), "mega")
            lab.expect_rule(rule, direction="inbound", role="server")
        self.case(f"{name}: what is fetched is equal, by the rule {rule}", equal)

        def at_once():
            self.expect_all_served(lab.run(*self.ab(name, 400, 16), timeout=90).text, 400)
        self.case(f"{name}: 400 requests, 16 at a time", at_once)
        self.case(f"{name}: nothing in clear", lambda: lab.expect_no_clear(PORTS[name], HTTP_GET, b"hello from"))

    def post_case(self, name):
        def post():
            self.lab.curl("-f", "-H", "Expect:", "--data-binary", f"@{self.lab.path('www/mega')}", "-o",
                          self.lab.path("echoed"), f"{self.url(name)}/echo")
            self.lab.expect_same("www/mega", "echoed")
        self.case(f"{name}: 1 MB posted comes back equal", post)


def workers_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as text:
        return text.read().split()


def nginx_reload(web, nginx):
    """Requests go on, one connection each, while the master starts new workers again and again."""
    lab = web.lab
    num_reloads = 0
    for _ in range(20):  # which of the two is the faster nobody knows: requests until there was a reload among them
        load = lab.start(*web.ab("nginx", 1200, 8), log="ab.log")
        while load.poll() is None:
            old = set(workers_of(nginx.pid))
            lab.run(*reload_command(lab))
            lab.wait_for("new workers", lambda old=old: len(set(workers_of(nginx.pid)) - old) >= 2, 30)
            num_reloads += load.poll() is None
            time.sleep(0.3)
        web.expect_all_served(lab.log_of(load), 1200)
        lab.stop(load)
        if num_reloads > 0:
            break
    print(f"# {num_reloads} reloads", flush=True)
    expect(num_reloads >= 1, "no reload was in time")
    lab.wait_for("the old workers to end", lambda: len(workers_of(nginx.pid)) == 2, 30)
    lab.fetch_same(web.url("nginx"))


def reload_command(lab):
    return ("nginx", "-e", lab.path("nginx.err"), "-c", lab.path("nginx.conf"), "-p", lab.dir, "-s", "reload")


def nginx_own_tls(web):
    """The port that no rule is for: nginx does TLS itself, and the stack carries it in clear."""
    lab = web.lab
    lab.curl("-f", "-o", lab.path("got"), f"https://{STACK_NAME}:{PORTS['own']}/mega")
    lab.expect_same("www/mega", "got")
    if not ON_KERNEL:
        conn = next(conn for conn in lab.conns() if conn["local"].endswith(f":{PORTS['own']}"))
        expect(not conn["rule"] and not conn["version"], f"the stack did TLS too: {conn}")


def nginx_cases(web):
    need("nginx")
    lab, case = web.lab, web.case
    cert, key = lab.cert_of("web")
    conf = lab.write("nginx.conf", NGINX.format(dir=lab.dir, cert=cert, key=key, **PORTS))
    nginx = lab.start_under("nginx", "-e", lab.path("nginx.err"), "-c", conf, "-p", lab.dir, log="nginx.out")
    case("nginx starts", lambda: lab.wait_served(PORTS["nginx"], nginx))
    web.common_cases("nginx", "NGINX")

    def both_families():
        for address in (STACK, STACK6):
            with lab.connect(PORTS["nginx"], address) as sock:
                sock.sendall(HTTP_GET)
                answer = b"".join(iter(lambda: sock.recv(4096), b""))
                expect(b" 200 OK" in answer and answer.endswith(b"knows no TLS\n"), repr(answer))
    case("nginx: IPv4 and IPv6 (two listeners of one port)", both_families)

    def upload():
        lab.curl("-f", "-T", lab.path("www/large"), f"{web.url('nginx')}/put/large")
        lab.expect_same("www/large", "up/put/large")
        lab.fetch_same(web.url("nginx"), "large")
    case("nginx: 16 MB up and down, equal", upload)

    def kept_alive():
        web.expect_all_served(lab.run(*web.ab("nginx", 4000, 16, "-k"), timeout=90).text, 4000)
        with open(lab.path("nginx.log")) as text:
            lines = text.read().splitlines()
        expect(ON_KERNEL or all(f" {KERNEL} " in line or " fd07::2 " in line for line in lines), "nginx saw another peer than the kernel")
        print(f"# workers that served: {len({line.split()[0] for line in lines})}", flush=True)
    case("nginx: 4,000 requests on 16 kept connections; it sees its peers' addresses", kept_alive)
    case("nginx: a listener for each worker (reuseport)",
         lambda: web.expect_all_served(lab.run(*web.ab("reuse", 400, 16), timeout=90).text, 400))
    case("nginx: its own TLS on a port that no rule is for", lambda: nginx_own_tls(web))
    case("nginx -s reload under requests: none fails", lambda: nginx_reload(web, nginx))
    case("nginx ends on SIGQUIT", lambda: lab.ended_well(nginx, signal.SIGQUIT))


def python_cases(web):
    lab = web.lab
    server = lab.start_under("python3", "-u", "-m", "http.server", str(PORTS["python"]), "--directory", lab.path("www"),
                             log="python.log")
    web.case("python3 -m http.server starts", lambda: lab.wait_served(PORTS["python"], server))
    web.common_cases("python", "PYTHON")
    web.case("python3 -m http.server ends", lambda: lab.ended_well(server, signal.SIGINT, (0, -signal.SIGINT, 130)))


def node_cases(web):
    need("node")
    lab = web.lab
    script = lab.write("server.js", NODE)
    server = lab.start_under("node", script, lab.path("www"), str(PORTS["node"]), log="node.log")
    web.case("node starts", lambda: lab.wait_served(PORTS["node"], server))
    web.common_cases("node", "NODE")
    web.post_case("node")
    web.case("node ends", lambda: lab.ended_well(server))

    def cluster():
        """The primary accepts, and hands each connection to a worker by SCM_RIGHTS."""
        server = lab.start_under("node", script, lab.path("www"), str(PORTS["cluster"]), "2", log="cluster.log")
        lab.wait_for("two workers", lambda: lab.log_of(server).count("serving") == 2 or server.poll() is not None, 30)
        lab.fetch_same(web.url("cluster"))
        web.expect_all_served(lab.run(*web.ab("cluster", 400, 16), timeout=90).text, 400)
        seen = set()
        def both_served():  # a worker that is not yet back from its last connection is left out
            headers = lab.curl("-o", "/dev/null", "-D", "-", f"{web.url('cluster')}/hello").text.lower()
            seen.add(headers.split("x-process: ")[1].split()[0])
            return len(seen) == 2
        lab.wait_for("both workers to serve", both_served, 30)
        expect("ended" not in lab.log_of(server), "a worker ended")
        lab.ended_well(server)
    web.case("node's cluster: two workers that get their connections from the primary", cluster)


def java_cases(web):
    need("java")
    lab = web.lab
    source = lab.write("Server.java", JAVA)
    server = lab.start_under("java", "-Xmx256m", source, lab.path("www"), str(PORTS["java"]), log="java.log")
    web.case("Java's HttpServer starts", lambda: lab.wait_served(PORTS["java"], server, seconds=60))
    web.common_cases("java", "JAVA")
    web.post_case("java")
    web.case("Java ends", lambda: lab.ended_well(server, fine=(143, -signal.SIGTERM)))


def haproxy_cases(web):
    need("haproxy", "nginx")
    lab, case = web.lab, web.case
    lab.start_origin(PORTS["origin"])
    backend = lab.start("python3", "-u", "-m", "http.server", str(PORTS["plain"]), "--bind", KERNEL, "--directory",
                        lab.path("www"), log="backend.log")
    lab.wait_for("the backend", lambda: f":{PORTS['plain']} " in lab.run("ss", "-Hltn").text)
    conf = lab.write("haproxy.cfg", HAPROXY.format(kernel=KERNEL, **PORTS))
    proxy = lab.start_under("haproxy", "-db", "-f", conf, log="haproxy.log")
    case("haproxy starts", lambda: lab.wait_served(PORTS["haproxy"], proxy))
    web.common_cases("haproxy", "HAPROXY")

    def secure():
        lab.fetch_same(f"{web.url('haproxy')}/secure", "hello")
        lab.fetch_same(f"{web.url('haproxy')}/secure", "large")
        lab.origin_saw(PORTS["origin"], "GET", "/large", 200, name="")
        lab.expect_rule("TO_ORIGIN", direction="outbound", role="client")
    case("haproxy: TLS by policy in front and behind", secure)
    case("haproxy ends", lambda: lab.ended_well(proxy, signal.SIGTERM, (0, 143, -signal.SIGTERM)))
    case("haproxy: a master whose new workers take the listeners over, under requests: none fails",
         lambda: haproxy_reload(web))
    lab.stop(backend)


def haproxy_take_over(lab, proxy):
    """A master that is just executing itself loses the signal, also without us: it is told until it says that it heard."""
    old, heard = set(workers_of(proxy.pid)), lab.log_of(proxy).count("Reloading")
    for _ in range(10):
        proxy.send_signal(signal.SIGUSR2)
        try:
            lab.wait_for("haproxy to hear", lambda: lab.log_of(proxy).count("Reloading") > heard, 2)
            break
        except AssertionError:
            continue
    try:
        lab.wait_for("a new worker", lambda: set(workers_of(proxy.pid)) - old, 20)
    except AssertionError as error:
        raise AssertionError(f"{error}; haproxy said:\n{lab.log_of(proxy)[-2500:]}") from None


def haproxy_reload(web):
    """SIGUSR2: the master executes itself anew, and its new worker gets the listeners from the old one by SCM_RIGHTS."""
    lab = web.lab
    text = HAPROXY.format(kernel=KERNEL, **PORTS).replace("global\n", f"global\n  stats socket {lab.path('haproxy.sock')} "
                                                          "level admin expose-fd listeners\n  hard-stop-after 30s\n")
    proxy = lab.start_under("haproxy", "-W", "-db", "-f", lab.write("master.cfg", text), log="haproxy-master.log")
    lab.wait_served(PORTS["haproxy"], proxy)
    load = lab.start(*web.ab("haproxy", 1500, 8), log="ab-haproxy.log")
    num_reloads = 0
    while load.poll() is None and num_reloads < 5:
        haproxy_take_over(lab, proxy)
        num_reloads += 1
        time.sleep(0.3)
    lab.ends(load, 60)
    web.expect_all_served(lab.log_of(load), 1500)
    print(f"# {num_reloads} reloads", flush=True)
    lab.fetch_same(web.url("haproxy"))
    lab.ended_well(proxy, signal.SIGTERM, (0, 143, -signal.SIGTERM))


def cases(lab, case):
    lab.start_stack(POLICY)
    web = Web(lab, case)
    for program in (nginx_cases, python_cases, node_cases, java_cases, haproxy_cases):
        try_program(program, web)


def try_program(program, web):
    """A program that is missing, or whose set-up breaks, is a case of its own; the others go on."""
    try:
        program(web)
    except Exception as error:  # said as a case
        def again(error=error):
            raise error
        web.case(program.__name__, again)


if __name__ == "__main__":
    raise SystemExit(main("web", cases))
