# SPDX-License-Identifier: Apache-2.0
"""What the figures were measured on, and with which revision."""
import os
import platform
import shutil
import subprocess

FLAGS = ("aes", "pclmulqdq", "avx2", "avx512f", "vaes", "vpclmulqdq")


def cpuinfo(key):
    with open("/proc/cpuinfo") as file:
        values = [line.split(":", 1)[1].strip() for line in file if line.startswith(key)]
    return values[0] if values else "unknown"


def describe():
    flags = cpuinfo("flags").split()
    return {
        "cpu": cpuinfo("model name"),
        "cores": os.cpu_count(),
        "flags": [flag for flag in FLAGS if flag in flags],
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "kernel": platform.release(),
        "load_average": os.getloadavg()[0],
    }


def one_line():
    machine = describe()
    return f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}"


def revision(root):
    if shutil.which("git") is None:
        return "unknown"
    result = subprocess.run(["git", "-C", root, "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return result.stdout.strip() or "unknown"


def process_cpu_s(pid):
    """CPU time that a process of one thread has used; the scheduler counts it in ns."""
    with open(f"/proc/{pid}/schedstat") as file:
        return int(file.read().split()[0]) / 1e9


def process_rss(pid):
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Rss:"))


def kernel_slab():
    with open("/proc/meminfo") as file:
        return sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Slab:"))
