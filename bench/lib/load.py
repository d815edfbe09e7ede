"""One load on one peer, and what it cost."""

import contextlib
import os
import re
import resource
import socket
import subprocess
import tempfile
import time
from collections import namedtuple

import local

Shape = namedtuple("Shape", "entries connections streams")

TICK_US = 1_000_000 / os.sysconf("SC_CLK_TCK")


class WrongAnswer(Exception):
    """A load whose answers were not all right: its figures mean nothing."""


class Direct:
    """The upstream without anybody between."""

    name = "upstream"

    def __init__(self, manager):
        self.pids, self.answer_length = manager.pids, manager.answer_length
        self.request = lambda entries: ["--h1", *manager.request(entries)]


def full(peer, shape, seconds):
    """As many calls as the peer answers: the CPU time of each, by the kernel's accounting of its processes."""
    if shape.entries >= 10_000:
        seconds *= 3
    before = cpu(peer)
    times = h2load(peer, shape, seconds, [f"--max-concurrent-streams={shape.streams}"])
    user, system = ((b - a) * TICK_US / len(times) for a, b in zip(before, cpu(peer)))
    return {
        "cpu_us": user + system,
        "user_us": user,
        "system_us": system,
        "calls_per_second": len(times) / seconds,
        "rss_kib": rss(peer),
    }


def steady(peer, shape, rate, seconds):
    """So many calls a second, whether answers are late or not: how long they take."""
    times = h2load(peer, shape, seconds, [f"--rps={rate / shape.connections}", "--max-concurrent-streams=32"])
    at = lambda share: times[min(len(times) - 1, int(len(times) * share))]
    return {"p50_us": at(0.5), "p90_us": at(0.9), "p99_us": at(0.99), "p999_us": at(0.999)}


def h2load(peer, shape, seconds, options):
    """The times of all calls in microseconds, in order."""
    _, others = local.cores()
    with tempfile.NamedTemporaryFile() as log:
        command = ["h2load", f"--clients={shape.connections}", f"--duration={seconds}", f"--log-file={log.name}", *options]
        process = local.start([*command, *peer.request(shape.entries)], others, stdout=subprocess.PIPE, text=True)
        try:
            output = process.communicate(timeout=seconds + 30)[0]
        except subprocess.TimeoutExpired:
            # It waits for ever for connections that it made after its time.
            process.kill()
            process.wait()
            raise
        times = sorted(int(line.split(b"\t")[2]) for line in log)
    done, failed = (int(re.search(rf"(\d+) {word}", output)[1]) for word in ["succeeded", "failed"])
    data = int(re.search(r"\((\d+)\) data", output)[1])
    # Answers that the end cuts off count as data, but not as done.
    most = (done + shape.connections * 32) * peer.answer_length(shape.entries)
    if not done or failed or not done * peer.answer_length(shape.entries) <= data <= most:
        raise WrongAnswer(f"{peer.name}: {data} bytes in {done} answers\n{output}")
    return times


def cpu(peer):
    """User and system time so far, in ticks."""
    fields = [open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split() for pid in peer.pids()]
    return sum(int(f[11]) for f in fields), sum(int(f[12]) for f in fields)


def rss(peer):
    """Resident memory in KiB."""
    return sum(int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read())[1]) for pid in peer.pids())


@contextlib.contextmanager
def idle_connections(port, count):
    """Connections that have shaken hands and ask nothing."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0" + b"\0\0\0\4\1\0\0\0\0"
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            connection.sendall(preface)
            connection.recv(1)
        time.sleep(1)
        yield
