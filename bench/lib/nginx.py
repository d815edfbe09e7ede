"""nginx: the upstream that serves files, and the proxy that translates nothing."""

import json
import os
import subprocess

import local


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


class Nginx:
    """One worker, no logs, connections that stay open."""

    def __init__(self, directory, name, server, core, certificate=None):
        self.name, self.port, self.scheme = name, local.free_port(), "https" if certificate else "http"
        config = directory / f"{name}.conf"
        # Started by root, its workers would be somebody who may not read the directory.
        user = "user root;" if os.geteuid() == 0 else ""
        tls = f"ssl_certificate {certificate.chain}; ssl_certificate_key {certificate.key};" if certificate else ""
        listen = f"listen 127.0.0.1:{self.port} http2 {'ssl' if certificate else ''};"
        temporary = "\n".join(
            f"{kind}_temp_path {directory}/{name}-{kind};" for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        )
        config.write_text(
            f"""
            {user} daemon off; worker_processes 1; pid {directory}/{name}.pid; error_log {directory}/{name}.log crit;
            worker_rlimit_nofile 65536; events {{ worker_connections 32768; }}
            http {{
                access_log off; sendfile on; tcp_nopush on; open_file_cache max=100;
                keepalive_requests 1000000000; proxy_buffers 64 64k; proxy_buffer_size 64k;
                {temporary}
                {server(listen, tls)}
            }}"""
        )
        self.process = local.start(["nginx", "-c", config, "-p", directory], core)
        local.wait_for(self.port)

    def pids(self):
        children = open(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read().split()
        return [self.process.pid, *map(int, children)]

    def request(self, entries):
        url = f"{self.scheme}://127.0.0.1:{self.port}/apiops/projects/{entries}/jwks/"
        return ["-H", f"authorization: {local.TOKEN}", url]

    def answer_length(self, entries):
        return len(list_json(entries))

    def check(self, entries):
        for count in entries:
            assert local.curl(self.request(count)) == list_json(count).encode(), self.name


def upstream(directory, entries, core, certificate=None):
    """Serves lists from files; HTTP/1.1 unless TLS offers more."""
    (directory / "files").mkdir(exist_ok=True)
    for count in entries:
        (directory / "files" / str(count)).write_text(list_json(count))
    server = lambda listen, tls: f"""
        server {{
            {listen.replace('http2', '')} {tls} root {directory}; default_type application/json;
            rewrite ^/apiops/projects/(\\d+)/jwks/?$ /files/$1 break;
        }}"""
    return Nginx(directory, f"upstream-{'tls' if certificate else 'plain'}", server, core, certificate)


def proxy(directory, manager, core, certificate=None):
    """Passes the bytes along as they are."""
    to = f"proxy_pass {manager.scheme}://manager; proxy_http_version 1.1;"
    if certificate:
        to += f"proxy_ssl_trusted_certificate {certificate.chain}; proxy_ssl_verify on; proxy_ssl_name localhost;"
    server = lambda listen, tls: f"""
        upstream manager {{ server 127.0.0.1:{manager.port}; keepalive 300; keepalive_requests 1000000000; }}
        server {{ {listen} {tls} location / {{ {to} proxy_set_header connection ""; }} }}"""
    return Nginx(directory, "nginx", server, core, certificate)
