"""Tables and a plot for docs/performance.md."""

import re

PLOT = "performance.svg"
BAR, GAP, LEFT, WIDTH = 22, 8, 190, 420


def write(docs, results):
    """Puts the figures between the marks of performance.md, and the plot beside it."""
    page = docs / "performance.md"
    figures = f"<!-- figures -->\n{markdown(results)}\n<!-- end of figures -->"
    page.write_text(re.sub(r"<!-- figures -->.*<!-- end of figures -->", lambda _: figures, page.read_text(), flags=re.S))
    (docs / PLOT).write_text(plot([row for row in results["cpu"] if row["shape"]["entries"] == 20 and row["shape"]["connections"] == 16]))


def line(row, unit):
    shape = "{entries} entries, {connections} connections x {streams}".format(**row["shape"])
    return f"{shape:<40}{row['peer']:<24}" + ", ".join(
        f"{name} {median:.1f} ({least:.1f} to {most:.1f}; x {median / unit[name][0]:.2f})"
        for name, (median, least, most) in ((name, row[name]) for name in row if name in ("cpu_us", "calls_per_second", "p50_us", "p99_us"))
    )


def markdown(results):
    machine, cpu = results["machine"], results["cpu"]
    return "\n".join(
        [
            f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}; medians of {results['rounds']} rounds of"
            f" {results['seconds']} s, ranges in brackets.",
            "",
            f"![CPU per call](%s)" % PLOT,
            "",
            "### CPU per call, as fast as each goes",
            "",
            *cpu_table(cpu),
            "",
            "### The same with TLS on both sides",
            "",
            *cpu_table(results["tls"]),
            "",
            "### Latency at 800 calls a second, 20 entries, 16 connections",
            "",
            "| | p50 µs | p90 | p99 | p99.9 | p50 added |",
            "|---|---|---|---|---|---|",
            *latency_rows(results["latency"]),
            "",
            "### Resident memory",
            "",
            "| | idle, MiB | an idle connection, KiB | under load, at most, MiB |",
            "|---|---|---|---|",
            *memory_rows(results),
        ]
    )


def cpu_table(rows):
    peers = list(dict.fromkeys(row["peer"] for row in rows))
    shapes = list(dict.fromkeys(tuple(row["shape"].values()) for row in rows))
    find = {(tuple(row["shape"].values()), row["peer"]): row for row in rows}
    yield "| entries, connections × streams | nginx, µs | " + " | ".join(f"{peer}, × nginx" for peer in peers[1:]) + " |"
    yield "|---" * (len(peers) + 1) + "|"
    for shape in shapes:
        entries, connections, streams = shape
        median, least, most = find[shape, peers[0]]["cpu_us"]
        ratios = [[value / median for value in find[shape, peer]["cpu_us"]] for peer in peers[1:]]
        cells = [f"{ratio:.2f} ({low:.2f} to {high:.2f})" for ratio, low, high in ratios]
        yield f"| {entries:,}, {connections} × {streams} | {median:.0f} ({least:.0f} to {most:.0f}) | " + " | ".join(cells) + " |"


def latency_rows(rows):
    direct = rows[-1]["p50_us"][0]
    for row in rows:
        times = " | ".join(f"{row[p][0]:,.0f} ({row[p][1]:,.0f} to {row[p][2]:,.0f})" for p in ["p50_us", "p90_us", "p99_us", "p999_us"])
        yield f"| {row['peer']} | {times} | {row['p50_us'][0] - direct:,.0f} |"


def memory_rows(results):
    for row in results["memory"]:
        most = max(measured["rss_kib"][2] for measured in results["cpu"] if measured["peer"] == row["peer"])
        yield f"| {row['peer']} | {row['idle_kib'] / 1024:.1f} | {row['per_connection_kib']:.1f} | {most / 1024:.0f} |"


def plot(rows):
    """Bars of CPU per call, user time dark and system time light; one group a shape."""
    scale = WIDTH / max(row["user_us"][0] + row["system_us"][0] for row in rows)
    parts, y, shape = [], 0, None
    for row in rows:
        if row["shape"] != shape:
            shape = row["shape"]
            y += 24
            parts.append(f'<text x="0" y="{y}" font-weight="bold">20 entries, 16 connections × {shape["streams"]}</text>')
            y += GAP
        user, system = (row[part][0] * scale for part in ("user_us", "system_us"))
        parts.append(f'<text x="{LEFT - 8}" y="{y + 15}" text-anchor="end">{row["peer"]}</text>')
        parts.append(f'<rect x="{LEFT}" y="{y}" width="{user:.0f}" height="{BAR}" fill="#1d4ed8"/>')
        parts.append(f'<rect x="{LEFT + user:.0f}" y="{y}" width="{system:.0f}" height="{BAR}" fill="#93c5fd"/>')
        parts.append(f'<text x="{LEFT + user + system + 6:.0f}" y="{y + 15}">{row["cpu_us"][0]:.0f} µs</text>')
        y += BAR + GAP
    parts.append(f'<text x="{LEFT}" y="{y + 16}" fill="#555">CPU per call; dark: user, light: system</text>')
    style = 'font-family="sans-serif" font-size="13"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 80}" height="{y + 28}" {style}>\n' + "\n".join(parts) + "\n</svg>\n"
