#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our client, fetch on a tap port, and real servers: openssl s_server, gnutls-serv, nginx."""
import os
import sys

from lab import GROUP, advanced, expect, main, outbound

PORTS = {"s13": 4413, "s12": 4412, "mutual": 4415, "old": 4411, "gnutls": 4420, "nginx": 4430, "wrongname": 4431,
         "expired": 4432, "stranger": 4433, "nocert": 4434, "clear": 4480}
POLICY = GROUP + "".join((
    outbound("S13", PORTS["s13"], "trusting"),
    outbound("S12", PORTS["s12"], "trusting"),
    outbound("MUTUAL", PORTS["mutual"], "client"),
    outbound("NOCERT", PORTS["nocert"], "trusting"),
    outbound("OLD", PORTS["old"], "trusting"),
    outbound("GNUTLS", PORTS["gnutls"], "trusting"),
    outbound("NGINX", PORTS["nginx"], "trusting"),
    outbound("WRONGNAME", PORTS["wrongname"], "trusting"),
    outbound("EXPIRED", PORTS["expired"], "trusting"),
    outbound("STRANGER", PORTS["stranger"], "distrusting", more=advanced("TLSv1.2 On")),
    outbound("CLEAR", PORTS["clear"], "trusting"),
))

NGINX = """daemon off; master_process off; error_log stderr crit; pid {dir}/nginx.pid;
events {{ }}
http {{
  access_log off; client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir}; uwsgi_temp_path {dir};
  scgi_temp_path {dir}; root {dir}/www;
  server {{ listen 10.77.0.1:{nginx} ssl; listen [fd77::1]:{nginx} ssl;
            ssl_certificate {server}/mine.crt; ssl_certificate_key {server}/mine.key; }}
  server {{ listen 10.77.0.1:{wrongname} ssl; ssl_certificate {other}/mine.crt; ssl_certificate_key {other}/mine.key; }}
  server {{ listen 10.77.0.1:{expired} ssl; ssl_certificate {oldcert}/mine.crt; ssl_certificate_key {oldcert}/mine.key; }}
  server {{ listen 10.77.0.1:{stranger} ssl; ssl_certificate {server}/mine.crt; ssl_certificate_key {server}/mine.key; }}
  server {{ listen 10.77.0.1:{clear}; }}
}}
"""


def prepare(lab):
    os.makedirs(lab.path("www"))
    lab.write("www/hello", "hello from a TLS server\n")
    with open(lab.path("www/mega"), "wb") as out:
        out.write(os.urandom(1 << 20))
    lab.make_ca("ca")
    lab.make_ca("otherca")
    lab.make_cert("server", "ca", "--dns", "www.test", "--ip", "10.77.0.1", "--ip", "fd77::1")
    lab.make_cert("othername", "ca", "--dns", "other.test")
    lab.make_cert("oldcert", "ca", "--days", "-1", "--dns", "www.test")
    lab.make_cert("client", "ca", "--client")
    for ring, ca in (("trusting", "ca"), ("distrusting", "otherca")):
        trust = lab.ring(ring) + "/trust"
        os.makedirs(trust, mode=0o700)
        with open(lab.ring(ca) + "/ca.crt") as source, open(trust + "/ca.crt", "w") as out:
            out.write(source.read())


class Fetcher:
    """Runs fetch on one end of a veth pair; the servers are on the other, the kernel's."""

    def __init__(self, lab, mtu=1500):
        self.lab = lab
        lab.config("fetch", POLICY, device="net_af_packet0,iface=veth1", mtu=mtu)
        lab.run("ip", "link", "add", "veth0", "mtu", str(mtu), "type", "veth", "peer", "name", "veth1", "mtu", str(mtu))
        # af_packet is not told that the kernel left a checksum for the card to finish: let it finish them itself.
        lab.run("ethtool", "-K", "veth0", "tx", "off")
        lab.run("ip", "addr", "add", "10.77.0.1/24", "dev", "veth0")
        lab.run("ip", "addr", "add", "fd77::1/64", "dev", "veth0", "nodad")
        lab.run("ip", "link", "set", "veth0", "up")
        lab.run("ip", "link", "set", "veth1", "up")

    def close(self):
        self.lab.run("ip", "link", "del", "veth0")

    def get(self, port, *more, path="hello", host="www.test"):
        result = self.lab.run(self.lab.app("fetch"), "--config", self.lab.path("fetch.yaml"), "--timeout", "8", "--resolve",
                              f"www.test:{port}:10.77.0.1", *more, f"http://{host}:{port}/{path}", check=False, timeout=60)
        return result


def expect_served(result, what="hello from a TLS server"):
    expect(result.returncode == 0 and what in result.text, f"exit status {result.returncode}\n{result.text[-1500:]}")


def expect_refused(result):
    expect(result.returncode == 1, f"exit status {result.returncode}\n{result.text[-1500:]}")
    expect("hello from" not in result.text, "it was served")


def start_servers(lab):
    cert = ("-cert", lab.ring("server") + "/mine.crt", "-key", lab.ring("server") + "/mine.key")
    trust = ("-CAfile", lab.ring("ca") + "/ca.crt")
    for name, more in (("s13", ("-tls1_3",)), ("s12", ("-tls1_2",)), ("mutual", ("-Verify", "2", *trust)),
                       ("nocert", ("-Verify", "2", "-verify_return_error", *trust)),
                       ("old", ("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"))):
        lab.start("openssl", "s_server", "-accept", f"10.77.0.1:{PORTS[name]}", "-www", *cert, *more, log=f"{name}.log")
    lab.start("gnutls-serv", "--http", "-p", str(PORTS["gnutls"]), "--x509certfile", lab.ring("server") + "/mine.crt",
              "--x509keyfile", lab.ring("server") + "/mine.key", log="gnutls.log")
    os.chmod(lab.dir, 0o755)
    nginx = lab.write("nginx.conf", NGINX.format(dir=lab.dir, server=lab.ring("server"), other=lab.ring("othername"),
                                                 oldcert=lab.ring("oldcert"), **PORTS))
    lab.start("nginx", "-c", nginx, "-p", lab.dir, log="nginx.log")
    def listens(port):  # at the address that most cases use: gnutls-serv has a socket for each family, one after the other
        sockets = lab.run("ss", "-Hltn").text
        return f" 10.77.0.1:{port} " in sockets or f" 0.0.0.0:{port} " in sockets
    for name, port in PORTS.items():
        lab.wait_for(f"the server {name}", lambda port=port: listens(port), 30)


def server_cases(fetch, case):
    case("openssl s_server, TLS 1.3", lambda: expect_served(fetch.get(PORTS["s13"]), "TLSv1.3"))
    case("openssl s_server, TLS 1.2", lambda: expect_served(fetch.get(PORTS["s12"]), "TLSv1.2"))
    case("openssl s_server that demands a certificate", lambda: expect_served(fetch.get(PORTS["mutual"]), "TLS Web Client Authentication"))
    case("gnutls-serv", lambda: expect_served(fetch.get(PORTS["gnutls"]), "GnuTLS"))
    case("nginx, IPv4", lambda: expect_served(fetch.get(PORTS["nginx"])))
    case("nginx, IPv6 by address", lambda: expect_served(fetch.get(PORTS["nginx"], host="[fd77::1]")))
    case("a server whose name the program did not resolve: the chain alone is checked",
         lambda: expect_served(fetch.get(PORTS["wrongname"], host="10.77.0.1")))


def refusal_cases(fetch, case):
    case("a demanded certificate that the ring has not", lambda: expect_refused(fetch.get(PORTS["nocert"])))
    case("a server of TLS 1.1 alone", lambda: expect_refused(fetch.get(PORTS["old"])))
    case("a certificate for another name", lambda: expect_refused(fetch.get(PORTS["wrongname"])))
    case("an expired certificate", lambda: expect_refused(fetch.get(PORTS["expired"])))
    case("an authority that is not in the ring", lambda: expect_refused(fetch.get(PORTS["stranger"])))
    case("a server that speaks clear text", lambda: expect_refused(fetch.get(PORTS["clear"])))
    case("a port where nobody listens", lambda: expect_refused(fetch.get(4499)))


def transfer_case(lab, fetch):
    result = fetch.get(PORTS["nginx"], "-o", lab.path("down"), path="mega")
    expect(result.returncode == 0, result.text)
    with open(lab.path("www/mega"), "rb") as want, open(lab.path("down"), "rb") as got:
        expect(want.read() == got.read(), "the bytes differ")


def cases(lab, reporter):
    prepare(lab)
    fetch = Fetcher(lab)
    start_servers(lab)
    server_cases(fetch, reporter.case)
    refusal_cases(fetch, reporter.case)
    reporter.case("1 MB from nginx over af_packet, MTU 1500, equal", lambda: transfer_case(lab, fetch))


if __name__ == "__main__":
    sys.exit(main("clients", cases))
