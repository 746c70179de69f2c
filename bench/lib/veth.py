# SPDX-License-Identifier: Apache-2.0
"""Two network namespaces of our own with a veth pair between them: MTU 1500, every offload off."""
import os
import subprocess

from lib.world import run

OFFLOADS = ("tso", "gso", "gro", "tx", "rx", "sg")


class Veth:
    """`with Veth() as veth`: veth.server and veth.client are the words that run a command in each; veth.address is the
    server's."""

    address = "10.99.7.2"

    def __init__(self):
        self.names = [f"pel-bench-{os.getpid()}-{side}" for side in "cs"]
        self.client, self.server = (["ip", "netns", "exec", name] for name in self.names)

    def __enter__(self):
        try:
            for name in self.names:
                run("ip", "netns", "add", name)
            run("ip", "-n", self.names[0], "link", "add", "veth0", "type", "veth", "peer", "name", "veth0", "netns", self.names[1])
            for i, name in enumerate(self.names):
                run("ip", "-n", name, "address", "add", f"10.99.7.{i + 1}/24", "dev", "veth0")
                run("ip", "-n", name, "link", "set", "dev", "veth0", "mtu", "1500", "up")
                run("ip", "-n", name, "link", "set", "dev", "lo", "up")
                # One at a time: what a device does not let itself be told is no failure of the others.
                for offload in OFFLOADS:
                    subprocess.run([*(self.client, self.server)[i], "ethtool", "-K", "veth0", offload, "off"],
                                   capture_output=True, check=False)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)

    def left_on(self):
        """Those of the offloads that are on all the same, as ethtool names them."""
        text = run(*self.server, "ethtool", "-k", "veth0")
        wanted = ("tcp-segmentation-offload", "generic-segmentation-offload", "generic-receive-offload", "tx-checksumming")
        return [line.split(":")[0].strip() for line in text.splitlines()
                if line.split(":")[0].strip() in wanted and line.split(":")[1].split()[0] == "on"]
