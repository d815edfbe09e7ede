"""What runs on this machine: processes, ports, cores, certificates."""

import contextlib
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

TOKEN = "Bearer benchmark"
PACKAGES = {"nginx": "nginx-light", "h2load": "nghttp2-client", "curl": "curl", "openssl": "openssl"}


def need_tools():
    for tool, package in PACKAGES.items():
        if not shutil.which(tool):
            sys.exit(f"bench/run: {tool} is missing (Debian: {package})")


def cores():
    """One core for whom is measured, and the others for who calls and who answers."""
    available = sorted(os.sched_getaffinity(0))
    return {available[-1]}, set(available[:-1] or available)


def start(command, core, **options):
    """Starts a process on these cores."""
    return subprocess.Popen([str(part) for part in command], preexec_fn=lambda: os.sched_setaffinity(0, core), **options)


@contextlib.contextmanager
def running(peer):
    try:
        yield peer
    finally:
        peer.process.terminate()
        peer.process.wait()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(port):
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise TimeoutError(f"nobody listens on port {port}")


def curl(arguments):
    """What is answered to what h2load would ask."""
    arguments = ["--data-binary" if argument == "-d" else argument for argument in arguments]
    command = ["curl", "--silent", "--fail", "--insecure", "--http2-prior-knowledge", *arguments]
    if arguments[-1].startswith("https"):
        command[4] = "--http2"
    return subprocess.run(command, capture_output=True, check=True).stdout


@dataclass
class Certificate:
    """Of localhost, signed by itself."""

    chain: Path
    key: Path

    @classmethod
    def new(cls, directory):
        chain, key = directory / "chain.pem", directory / "key.pem"
        names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        command += ["-days", "2", "-subj", "/CN=localhost", "-addext", names, "-addext", "basicConstraints=critical,CA:FALSE"]
        subprocess.run([*command, "-out", chain, "-keyout", key], check=True, capture_output=True)
        return cls(chain, key)


def machine():
    model = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    return {"cpu": model[1] if model else platform.machine(), "cores": os.cpu_count(), "kernel": platform.release()}
