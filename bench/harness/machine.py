"""What the figures were taken on: a figure without its machine says nothing."""
import os
import platform
import resource
import subprocess


def first_line(path, key):
    try:
        with open(path, encoding="utf-8") as f:
            for line in f:
                if line.startswith(key):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return ""


def word(path):
    try:
        with open(path, encoding="utf-8") as f:
            return f.read().strip()
    except OSError:
        return ""


def output(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def describe(root):
    """One row for the top of a file of results."""
    return {
        "kind": "machine",
        "cpu": first_line("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "memory_kb": int((first_line("/proc/meminfo", "MemTotal") or "0").split()[0]),
        "kernel": platform.release(),
        "system": first_line_of_release(),
        "congestion_control": word("/proc/sys/net/ipv4/tcp_congestion_control"),
        "open_files_max": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        "load_before": os.getloadavg()[0],
        "commit": output("git", "-C", root, "describe", "--always", "--dirty"),
    }


def first_line_of_release():
    for line in word("/etc/os-release").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.split("=", 1)[1].strip('"')
    return ""


def memory_available_bytes():
    return int((first_line("/proc/meminfo", "MemAvailable") or "0").split()[0]) * 1024


def memory_slab_bytes():
    return int((first_line("/proc/meminfo", "Slab") or "0").split()[0]) * 1024


def memory_of(pid):
    """Resident bytes of a process: all, and those that no file backs."""
    path = f"/proc/{pid}/status"
    all_kb = first_line(path, "VmRSS").split()
    own_kb = first_line(path, "RssAnon").split()
    return (int(all_kb[0]) if all_kb else 0) * 1024, (int(own_kb[0]) if own_kb else 0) * 1024


def open_files_of(pid):
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def raise_open_files():
    """The soft limit becomes the hard one, and the hard one what the kernel allows when we may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = int(word("/proc/sys/fs/nr_open") or hard)
    for limit in (max(hard, wanted), hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            return limit
        except (ValueError, OSError):
            continue
    return soft
