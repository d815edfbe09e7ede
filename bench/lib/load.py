"""One load on one contender, and what it cost."""

import os
import platform
import re
import subprocess
import tempfile

TICK_US = 1_000_000 / os.sysconf("SC_CLK_TCK")


class WrongAnswer(Exception):
    """A load whose answers were not all right: its figures mean nothing."""


def run(contender, entries, connections, streams, seconds):
    """Loads a contender as fast as it goes: CPU by the kernel's own accounting of its processes, times by h2load's log."""
    with tempfile.NamedTemporaryFile() as log:
        command = ["h2load", f"--clients={connections}", f"--max-concurrent-streams={streams}", f"--duration={seconds}"]
        command += [f"--log-file={log.name}", "--warm-up-time=0", *contender.request(entries)]
        before = cpu(contender.pids())
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        after = cpu(contender.pids())
        times = sorted(int(line.split(b"\t")[2]) for line in log)
    done = int(re.search(r"(\d+) succeeded", output)[1])
    data = int(re.search(r"\((\d+)\) data", output)[1])
    failed = int(re.search(r"(\d+) failed", output)[1])
    # Answers that the end of the time cut off count as data, but not as done.
    most = (done + connections * streams) * contender.answer_length(entries)
    if not done or failed or not done * contender.answer_length(entries) <= data <= most:
        raise WrongAnswer(f"{contender.name}: {data} bytes in {done} answers\n{output}")
    user, system = ((b - a) * TICK_US / done for a, b in zip(before, after))
    at = lambda share: times[min(len(times) - 1, int(len(times) * share))]
    return {
        "cpu_us": user + system,
        "user_us": user,
        "system_us": system,
        "calls_per_second": done / seconds,
        "p50_us": at(0.5),
        "p90_us": at(0.9),
        "p99_us": at(0.99),
        "p999_us": at(0.999),
        "rss_kib": sum(rss(pid) for pid in contender.pids()),
    }


def cpu(pids):
    """User and system time of some processes, in ticks."""
    fields = [open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split() for pid in pids]
    return sum(int(f[11]) for f in fields), sum(int(f[12]) for f in fields)


def rss(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read())[1])


def machine():
    model = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    return {"cpu": model[1] if model else platform.machine(), "cores": os.cpu_count(), "kernel": platform.release()}
