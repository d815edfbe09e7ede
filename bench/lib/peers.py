"""Who is measured: nginx as a proxy that translates nothing, and the gateway, in front of an nginx that serves files."""

import contextlib
import json
import os
import re
import socket
import subprocess
import time

TOKEN = "Bearer benchmark"


@contextlib.contextmanager
def all_of(directory, root, entries):
    """Everyone, started; all ends with the block."""
    with contextlib.ExitStack() as stack:
        upstream, proxy = free_port(), free_port()
        for count in entries:
            path = directory / "files" / str(count)
            path.parent.mkdir(exist_ok=True)
            path.write_text(list_json(count))
        nginx_upstream = Nginx(directory, "upstream", file_server(directory, upstream))
        stack.callback(nginx_upstream.stop)
        nginx = Nginx(directory, "nginx", plain_proxy(directory, proxy, upstream), proxy)
        stack.callback(nginx.stop)
        contenders = [nginx]
        for coalesce in ["off", "on"]:
            gateway = Gateway(directory, root, upstream, coalesce)
            stack.callback(gateway.stop)
            contenders.append(gateway)
        for contender in contenders:
            contender.check(entries)
        yield contenders


def list_json(count):
    """A list as the vendor documents it, with all fields."""
    entry = lambda i: {
        "name": f"key-{i}",
        "description": f"JWK number {i} for API authentication",
        "projectId": "0d5c4b1e-6c4a-4f5e-9c0d-5f1f4b1f2a3b",
        "sourceType": "URL",
        "sourceId": None,
        "sourceUrl": f"https://example.com/.well-known/jwks-{i}.json",
        "type": "RSA",
        "kid": f"key-id-{i}",
    }
    return json.dumps({"success": True, "resultList": [entry(i) for i in range(count)], "resultCount": count})


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def file_server(directory, port):
    return f"""
        server {{
            listen 127.0.0.1:{port};
            root {directory}; default_type application/json;
            rewrite ^/apiops/projects/(\\d+)/jwks/$ /files/$1 break;
        }}"""


def plain_proxy(directory, port, upstream):
    return f"""
        upstream manager {{ server 127.0.0.1:{upstream}; keepalive 300; keepalive_requests 1000000000; }}
        server {{
            listen 127.0.0.1:{port} http2;
            location / {{ proxy_pass http://manager; proxy_http_version 1.1; proxy_set_header connection ""; }}
        }}"""


class Nginx:
    """One worker, no logs, connections that stay open."""

    def __init__(self, directory, name, servers, port=None):
        self.name, self.port = name, port
        config = directory / f"{name}.conf"
        # Started by root, its workers would be somebody who may not read the directory.
        user = "user root;" if os.geteuid() == 0 else ""
        config.write_text(
            f"""
            {user} daemon off; worker_processes 1; pid {directory}/{name}.pid; error_log {directory}/{name}.log crit;
            events {{ worker_connections 4096; }}
            http {{
                access_log off; sendfile on; tcp_nopush on; open_file_cache max=100;
                keepalive_requests 1000000000; proxy_buffers 64 64k; proxy_buffer_size 64k;
                client_body_temp_path {directory}/{name}-body; proxy_temp_path {directory}/{name}-proxy;
                fastcgi_temp_path {directory}/{name}-f; uwsgi_temp_path {directory}/{name}-u; scgi_temp_path {directory}/{name}-s;
                {servers}
            }}"""
        )
        self.process = subprocess.Popen(["nginx", "-c", str(config), "-p", str(directory)], stderr=subprocess.DEVNULL)
        time.sleep(0.5)

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def pids(self):
        children = open(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read().split()
        return [self.process.pid, *map(int, children)]

    def request(self, entries):
        return ["-H", f"authorization: {TOKEN}", f"http://127.0.0.1:{self.port}/apiops/projects/{entries}/jwks/"]

    def answer_length(self, entries):
        return self.lengths[entries]

    def check(self, entries):
        url = f"http://127.0.0.1:{self.port}/apiops/projects/%d/jwks/"
        self.lengths = {count: len(curl(url % count)) for count in entries}
        assert all(self.lengths[count] == len(list_json(count)) for count in entries)


class Gateway:
    """The gateway with its defaults, coalescing apart."""

    def __init__(self, directory, root, upstream, coalesce):
        self.name = f"gateway, coalesce {coalesce}"
        self.directory = directory
        command = [root / "target/release/jwks-gateway", "serve", "--listen", "127.0.0.1:0", "--log-format", "json"]
        command += ["--upstream", f"http://127.0.0.1:{upstream}", "--coalesce", coalesce]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.port = int(re.search(r"127\.0\.0\.1:(\d+)", self.process.stderr.readline())[1])

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def pids(self):
        return [self.process.pid]

    def request(self, entries):
        headers = {"content-type": "application/grpc", "te": "trailers", "authorization": TOKEN}
        flags = [flag for name, value in headers.items() for flag in ("-H", f"{name}: {value}")]
        return ["-d", str(self.message(entries)), *flags, self.url()]

    def url(self):
        return f"http://127.0.0.1:{self.port}/apinizer.apiops.v1.JwkService/ListJwks"

    def message(self, entries):
        """A file with the framed ListJwksRequest."""
        project = str(entries).encode()
        message = b"\x0a" + bytes([len(project)]) + project
        path = self.directory / f"request-{entries}"
        path.write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
        return path

    def answer_length(self, entries):
        return self.lengths[entries]

    def check(self, entries):
        self.lengths = {}
        for count in entries:
            flags = ["-H", "content-type: application/grpc", "-H", "te: trailers", "-H", f"authorization: {TOKEN}"]
            answer = curl(self.url(), *flags, "--data-binary", f"@{self.message(count)}")
            assert entries_of(answer) == count, f"{self.name}: {entries_of(answer)} entries instead of {count}"
            self.lengths[count] = len(answer)


def curl(url, *flags):
    command = ["curl", "--silent", "--fail", "--http2-prior-knowledge", *flags, url]
    return subprocess.run(command, capture_output=True, check=True).stdout


def entries_of(framed):
    """How many entries a framed ListJwksResponse has: fields 1, one after another."""
    assert framed[0] == 0 and int.from_bytes(framed[1:5], "big") == len(framed) - 5
    message, at, count = framed[5:], 0, 0
    while at < len(message):
        assert message[at] == 0x0A
        at, length, shift = at + 1, 0, 0
        while True:
            byte = message[at]
            at, length, shift = at + 1, length | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                break
        at, count = at + length, count + 1
    return count
