#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""httpd on every kind of port that a machine without a spare NIC has: tap, af_packet, af_xdp, memory shared with fetch; MTU 1500 and
9000, addresses by DHCP, one engine and two; and what it says when it cannot start."""
import contextlib
import os
import socket
import sys

from lab import GROUP, Skip, expect, inbound, main, outbound
from servers_test import PING

POLICY = GROUP + inbound("HTTPS", 443, "web")


def prepare(lab):
    os.makedirs(lab.path("www"))
    os.makedirs(lab.path("up"))
    with open(lab.path("www/mega"), "wb") as out:
        out.write(os.urandom(4 << 20))
    lab.make_ca("ca")
    lab.make_cert("web", "ca", "--dns", "www.test")


class Veth:
    """A veth pair: veth0 with addresses is the kernel's, veth1 is for httpd."""

    def __init__(self, lab, mtu):
        self.lab = lab
        self.mtu = str(mtu)

    def __enter__(self):
        run = self.lab.run
        run("ip", "link", "add", "veth0", "mtu", self.mtu, "type", "veth", "peer", "name", "veth1", "mtu", self.mtu)
        run("ethtool", "-K", "veth0", "tx", "off")
        run("ip", "addr", "add", "10.77.0.1/24", "dev", "veth0")
        run("ip", "addr", "add", "fd77::1/64", "dev", "veth0", "nodad")
        run("ip", "link", "set", "veth0", "up")
        run("ip", "link", "set", "veth1", "up")

    def __exit__(self, *_):
        self.lab.run("ip", "link", "del", "veth0")


def curl(lab, address, *arguments):
    return lab.run("curl", "-sS", "--cacert", lab.ring("ca") + "/ca.crt", "--resolve", f"www.test:443:{address}", *arguments)


def both_ways(lab, address, mtu):
    curl(lab, address, "-o", lab.path("down"), "https://www.test/mega")
    before = lab.control("stats")["stats"]
    curl(lab, address, "-T", lab.path("down"), "https://www.test/up")
    after = lab.control("stats")["stats"]
    with open(lab.path("www/mega"), "rb") as want, open(lab.path("up/up"), "rb") as got:
        expect(want.read() == got.read(), "the bytes differ")
    moved = {b["name"]: a["value"] - b["value"] for b, a in zip(before, after)}
    mean = moved["rx_bytes"] / moved["rx_packets"]
    expect(mean > 0.6 * mtu, f"frames of {mean:.0f} bytes on average do not use an MTU of {mtu}")


def port_case(lab, device, mtu):
    tap = device.startswith("net_tap")
    with Veth(lab, mtu) if not tap else contextlib.nullcontext():
        httpd = lab.start_httpd(lab.config("httpd", POLICY, device=device, mtu=mtu), "[::]:443")
        if tap:
            lab.address_tap(mtu)
        try:
            both_ways(lab, "10.77.0.2", mtu)
            both_ways(lab, "[fd77::2]", mtu)
        finally:
            status = lab.stop(httpd)
        expect(status == 0, f"exit status {status}\n{lab.log_of(httpd)[-2000:]}")


def engines_case(lab, device, num_engines):
    """Several engines share one address: whatever queue the kernel puts a flow into, its engine has it."""
    tap = device.startswith("net_tap")
    with Veth(lab, 1500) if not tap else contextlib.nullcontext():
        more = f"engine:\n  count: {num_engines}\n"
        if os.cpu_count() >= num_engines:
            more += f"  cores: {list(range(num_engines))}\n"
        httpd = lab.start_httpd(lab.config("httpd", POLICY, device=device, more=more), "[::]:443")
        if tap:
            lab.address_tap(1500)
        try:
            both_ways(lab, "10.77.0.2", 1500)
            both_ways(lab, "[fd77::2]", 1500)
            # Connections from many ports at once, each with 1 MB: all must be right, and no engine may be idle.
            loop = "".join(f"curl -sS --cacert {lab.ring('ca')}/ca.crt --resolve 'www.test:443:{address}' -r 0-1048575 "
                           f"-o {lab.path('part')}.{i} https://www.test/mega & "
                           for i, address in enumerate(["10.77.0.2", "[fd77::2]"] * 8)) + "wait"
            lab.run("sh", "-c", loop)
            with open(lab.path("www/mega"), "rb") as want:
                first = want.read(1 << 20)
            for i in range(16):
                with open(f"{lab.path('part')}.{i}", "rb") as got:
                    expect(got.read() == first, f"the bytes of connection {i} differ")
            lab.run("python3", "-c", PING)
            engines = lab.control("stats")["engines"]
            expect(lab.stat("icmp_echo_in") == 2, "echo requests must be answered once")
            expect(len(engines) == num_engines, f"{engines}")
            for engine in engines:
                expect(engine["tcp_opened_in"] > 0, f"an engine had no connection: {engines}")
            expect(sum(engine["tcp_opened_in"] for engine in engines) == lab.stat("tcp_opened_in"), f"{engines}")
        finally:
            status = lab.stop(httpd)
        expect(status == 0, f"exit status {status}\n{lab.log_of(httpd)[-2000:]}")


def af_xdp_possible():
    """Whether the kernel has af_xdp's sockets at all; anything beyond is ours to get right."""
    try:
        socket.socket(44, socket.SOCK_RAW, 0).close()
    except OSError as error:
        raise Skip(f"no af_xdp sockets: {error.strerror}") from None


def af_xdp_case(lab):
    af_xdp_possible()
    # 80 bytes a port that libxdp (1.3) does not give back; seen by a sanitized build alone.
    os.environ["LSAN_OPTIONS"] = "suppressions=" + lab.write("suppressions", "leak:xsk_umem__create\n") + ":print_suppressions=0"
    try:
        port_case(lab, "net_af_xdp0,iface=veth1", 1500)
    finally:
        del os.environ["LSAN_OPTIONS"]


def af_xdp_engines_case(lab):
    af_xdp_possible()
    with Veth(lab, 1500):
        expect_failure(lab, lab.config("httpd", POLICY, device="net_af_xdp0,iface=veth1", more="engine:\n  count: 2\n"),
                       "has 1 queues, which cannot be shared by 2 engines")


def programs_case(lab, server, client, num_engines):
    """httpd and fetch, two processes, over memory: a transfer under TLS, compared."""
    engines = f"engine:\n  count: {num_engines}\n"
    httpd = lab.start_httpd(lab.config("httpd", POLICY, device=server, more=engines), "[::]:443")
    try:
        lab.config("fetch", GROUP + outbound("WEB", 443, "trusting"), device=client, more=engines,
                   addresses=("10.77.0.1/24", "fd77::1/64"))
        for address in ("10.77.0.2", "[fd77::2]"):
            lab.run(lab.app("fetch"), "--config", lab.path("fetch.yaml"), "--timeout", "20", "--resolve",
                    f"www.test:443:{address}", "-o", lab.path("down"), "http://www.test:443/mega")
            with open(lab.path("www/mega"), "rb") as want, open(lab.path("down"), "rb") as got:
                expect(want.read() == got.read(), "the bytes differ")
    finally:
        status = lab.stop(httpd)
    expect(status == 0, f"exit status {status}\n{lab.log_of(httpd)[-2000:]}")


def memory_cases(lab, case):
    trust = lab.ring("trusting") + "/trust"
    os.makedirs(trust, mode=0o700)
    with open(lab.ring("ca") + "/ca.crt") as source, open(trust + "/ca.crt", "w") as out:
        out.write(source.read())
    memif = lab.path("memif.sock")
    for num_engines in (1, 2):
        case(f"httpd and fetch over memif, engines: {num_engines}",
             lambda num_engines=num_engines: programs_case(lab, f"net_memif0,role=server,id=0,socket={memif}",
                                                           f"net_memif0,role=client,id=0,socket={memif}", num_engines))
    vhost = lab.path("vhost.sock")
    case("httpd on vhost and fetch on virtio-user",
         lambda: programs_case(lab, f"net_vhost0,iface={vhost},queues=1", f"virtio_user0,path={vhost},queues=1", 1))


def dhcp_case(lab):
    config = lab.config("httpd", POLICY, device="net_af_packet0,iface=veth1", addresses=("fd77::2/64",))
    with open(config) as text:
        yaml = text.read().replace("ip:\n", "ip:\n  dhcp4: true\n")
    with Veth(lab, 1500):
        dnsmasq = lab.start("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--interface=veth0",
                            "--bind-interfaces", "--dhcp-range=10.77.0.50,10.77.0.50,255.255.255.0,1h", "--user=root",
                            f"--dhcp-leasefile={lab.path('leases')}", f"--pid-file={lab.path('dnsmasq.pid')}", log="dnsmasq.log")
        try:
            # The stack waits 10 s for a lease, and asks ever less often: not before there is somebody to hear it.
            lab.wait_for("dnsmasq", lambda: ":67 " in lab.run("ss", "-Hlun").text, 30)
            httpd = lab.start_httpd(lab.write("httpd.yaml", yaml), "[::]:443")
            both_ways(lab, "10.77.0.50", 1500)
            lab.stop(httpd)
        finally:
            lab.stop(dnsmasq)


def expect_failure(lab, config, *said, listen=("[::]:443",)):
    arguments = [word for address in listen for word in ("--listen", address)]
    result = lab.run(lab.app("httpd"), "--config", config, "--root", lab.path("www"), *arguments, check=False, timeout=30)
    expect(result.returncode in (1, 2), f"exit status {result.returncode}\n{result.text[-2000:]}")
    for part in said:
        expect(part in result.text, f"it does not say {part!r}:\n{result.text}")


def failure_cases(lab, case):
    def interface_taken():
        httpd = lab.start_httpd(lab.config("httpd", POLICY), "[::]:443")
        try:
            lab.address_tap()
            expect_failure(lab, lab.config("second", POLICY), "pel0")
        finally:
            lab.stop(httpd)
    case("an interface that is taken", interface_taken)
    case("an address and port that are taken",
         lambda: expect_failure(lab, lab.config("httpd", POLICY), "10.77.0.2:443", "in use",
                                listen=("10.77.0.2:443", "10.77.0.2:443")))
    case("an address that is not the port's",
         lambda: expect_failure(lab, lab.config("httpd", POLICY), "10.99.0.1:443", listen=("10.99.0.1:443",)))
    case("no such interface",
         lambda: expect_failure(lab, lab.config("httpd", POLICY, device="net_af_packet0,iface=none0"), "none0"))
    case("no such driver",
         lambda: expect_failure(lab, lab.config("httpd", POLICY, device="net_nosuch0"), "net_nosuch0"))
    case("an unknown key", lambda: expect_failure(lab, lab.config("httpd", POLICY, more="colour: red\n"), "httpd.yaml:", "colour"))
    case("a value out of range", lambda: expect_failure(lab, lab.config("httpd", POLICY, mtu=100), "port.mtu: 100", "1280 to 9216"))

    def hugepages():
        with open("/proc/sys/vm/nr_hugepages") as number:
            if int(number.read()) > 0:
                return
        expect_failure(lab, lab.config("httpd", POLICY, more="packet:\n  hugepages: \"yes\"\n"), "hugepages")
    case("hugepages that are not there", hugepages)

    def gate():
        config = lab.config("httpd", "TTLSRule X\n{\n  Drection Inbound\n}\n")
        httpd = lab.start(lab.app("httpd"), "--config", config, "--root", lab.path("www"), "--listen", "[::]:443", log="gate.log")
        try:
            lab.address_tap()
            lab.wait_for("the message", lambda: "start gate stays closed" in lab.log_of(httpd), 30)
            expect("httpd.policy:3:3: error: " in lab.log_of(httpd), lab.log_of(httpd))  # the error comes first
            # It says so before it has engines, let alone a control socket.
            lab.wait_for("the rest of its start", lambda: lab.pel("stats", "--socket", lab.path("httpd.sock"),
                                                                  check=False).returncode == 0, 30)
            refused = lab.run("curl", "-sk", "-m", "3", "https://10.77.0.2/mega", check=False)
            expect(refused.returncode != 0, "it was served")
            lab.pel("policy", "load", "--socket", lab.path("httpd.sock"), lab.write("good.policy", POLICY))
            lab.wait_for("service", lambda: lab.run("curl", "-sk", "-m", "20", "-o", "/dev/null", "https://10.77.0.2/mega",
                                                    check=False).returncode == 0, 30)
        finally:
            lab.stop(httpd)
    case("a policy with errors at start: the gate stays closed until a good one is loaded", gate)


def cases(lab, reporter):
    prepare(lab)
    for device, name in (("net_tap0,iface=pel0", "tap"), ("net_af_packet0,iface=veth1", "af_packet")):
        for mtu in (1500, 9000):
            reporter.case(f"httpd on {name}, MTU {mtu}, both families, both ways",
                          lambda device=device, mtu=mtu: port_case(lab, device, mtu))
    reporter.case("an address by DHCP from dnsmasq", lambda: dhcp_case(lab))
    for device, name in (("net_tap0,iface=pel0", "tap"), ("net_af_packet0,iface=veth1", "af_packet"),
                         ("net_af_packet0,iface=veth1,qpairs=1", "af_packet with one queue")):
        reporter.case(f"httpd with two engines on {name}", lambda device=device: engines_case(lab, device, 2))
    reporter.case("httpd on af_xdp", lambda: af_xdp_case(lab))
    reporter.case("two engines on af_xdp with one queue are refused", lambda: af_xdp_engines_case(lab))
    memory_cases(lab, reporter.case)
    failure_cases(lab, reporter.case)


if __name__ == "__main__":
    sys.exit(main("ports", cases))
