"""Who answers gRPC: the gateway, and those one would take otherwise."""

import json
import re
import subprocess

import local

METHOD = "apinizer.apiops.v1.JwkService/ListJwks"


class GrpcPeer:
    """A process on a port. All are asked the same, and each says it in its own number of bytes."""

    scheme = "http"

    def pids(self):
        return [self.process.pid]

    def request(self, entries):
        headers = {"content-type": "application/grpc", "te": "trailers", "authorization": local.TOKEN}
        flags = [flag for name, value in headers.items() for flag in ("-H", f"{name}: {value}")]
        project = str(entries).encode()
        message = b"\x0a" + bytes([len(project)]) + project
        body = self.directory / f"request-{entries}"
        body.write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
        return ["-d", f"{body}", *flags, f"{self.scheme}://127.0.0.1:{self.port}/{METHOD}"]

    def answer_length(self, entries):
        return self.lengths[entries]

    def check(self, entries):
        self.lengths = {}
        for count in entries:
            request = self.request(count)
            answer = local.curl(["-d", f"@{request[1]}", *request[2:]])
            assert entries_of(answer) == count, f"{self.name}: {entries_of(answer)} entries instead of {count}"
            self.lengths[count] = len(answer)


class Gateway(GrpcPeer):
    """The gateway with its defaults, coalescing apart."""

    def __init__(self, directory, root, manager, coalesce, core, certificate=None):
        self.name, self.directory = f"gateway, coalesce {coalesce}", directory
        command = [root / "target/release/jwks-gateway", "serve", "--listen", "127.0.0.1:0", "--log-format", "json"]
        command += ["--upstream", f"{manager.scheme}://localhost:{manager.port}", "--coalesce", coalesce]
        if certificate:
            command += ["--tls-cert", certificate.chain, "--tls-key", certificate.key, "--upstream-ca", certificate.chain]
            self.scheme = "https"
        self.process = local.start(command, core, stderr=subprocess.PIPE, text=True)
        self.port = int(re.search(r"127\.0\.0\.1:(\d+)", self.process.stderr.readline())[1])


class GoPeer(GrpcPeer):
    """A program of bench/peers."""

    def __init__(self, directory, root, manager, name, program, core):
        self.name, self.directory, self.port = name, directory, local.free_port()
        address, upstream = f"127.0.0.1:{self.port}", f"http://127.0.0.1:{manager.port}"
        # It logs every call that a load's end cuts off.
        quiet = {"stderr": subprocess.DEVNULL}
        self.process = local.start([root / "target/bench/bin" / program, address, upstream], core, **quiet)
        local.wait_for(self.port)


class Constant(GrpcPeer):
    """tonic answering constants of the same bytes: what no gateway can beat."""

    def __init__(self, directory, root, core):
        self.name, self.directory, self.port = "tonic, a constant", directory, local.free_port()
        command = ["cargo", "bench", "--quiet", "--no-run", "--bench", "constant", "--message-format=json"]
        built = subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE, text=True).stdout
        # The gateway's own program is built first, for it is part of the package.
        program = [json.loads(line).get("executable") for line in built.splitlines() if "executable" in line]
        command = [list(filter(None, program))[-1], f"127.0.0.1:{self.port}", directory / "files"]
        self.process = local.start(command, core)
        local.wait_for(self.port)


class Envoy(GrpcPeer):
    """Envoy with the filter grpc_json_reverse_transcoder, one worker."""

    def __init__(self, directory, root, manager, core):
        self.name, self.directory, self.port = "Envoy", directory, local.free_port()
        config = directory / "envoy.json"
        config.write_text(json.dumps(self.config(root / "target/bench/rest.binpb", manager.port)))
        command = [root / "target/bench/venv/bin/envoy", "--config-path", config, "--concurrency", "1"]
        self.process = local.start([*command, "--log-level", "error", "--use-dynamic-base-id"], core)
        local.wait_for(self.port)

    def config(self, descriptor, upstream):
        at = lambda port: {"socket_address": {"address": "127.0.0.1", "port_value": port}}
        typed = lambda name, **fields: {"@type": f"type.googleapis.com/envoy.extensions.{name}"} | fields
        large = 64 << 20
        transcoder = typed(
            "filters.http.grpc_json_reverse_transcoder.v3.GrpcJsonReverseTranscoder",
            descriptor_path=str(descriptor),
            max_response_body_size=large,
        )
        manager = typed(
            "filters.network.http_connection_manager.v3.HttpConnectionManager",
            stat_prefix="grpc",
            codec_type="HTTP2",
            route_config={
                "virtual_hosts": [
                    {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "manager"}}]}
                ]
            },
            http_filters=[
                {"name": "transcoder", "typed_config": transcoder},
                {"name": "router", "typed_config": typed("filters.http.router.v3.Router")},
            ],
        )
        return {
            "static_resources": {
                "listeners": [
                    {
                        "address": at(self.port),
                        "per_connection_buffer_limit_bytes": large,
                        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
                    }
                ],
                "clusters": [
                    {
                        "name": "manager",
                        "type": "STATIC",
                        "per_connection_buffer_limit_bytes": large,
                        "circuit_breakers": {"thresholds": [{"max_connections": 4096, "max_requests": 4096, "max_pending_requests": 4096}]},
                        "load_assignment": {
                            "cluster_name": "manager",
                            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": at(upstream)}}]}],
                        },
                    }
                ],
            }
        }


def entries_of(framed):
    """How many fields 1 a framed message has: the list, in the gateway's message and in those of its peers."""
    assert framed[0] == 0 and int.from_bytes(framed[1:5], "big") == len(framed) - 5
    at, count = 5, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte, at = framed[at], at + 1
            value, shift = value | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                return value

    while at < len(framed):
        number, wire_type = divmod(varint(), 8)
        length = varint()
        at += length if wire_type == 2 else 0
        count += number == 1
    return count
