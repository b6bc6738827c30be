"""That a run's gRPC travels inside a QUIC stream of libp2p, judged from the datagrams of real processes.

The agent reaches the node through a relay on loopback. A sender hands the kernel many datagrams at once (UDP GSO), and a
capture on loopback shows such a batch as one large datagram, of which tshark reads the first packet only; the relay
receives them one by one and sends them on so. The connection is still the agent's with the node.
"""
import contextlib
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from mesh import FILTERS, NMP, ROOT, MeshTest

WIRE_CHECK = ROOT / "tests/interop/wire_check"
PATH = b"/nmp.v1.NeuralMesh/ExecuteLogic"


def missing():
    if shutil.which("tshark") is None:
        return "tshark is not installed"
    if os.geteuid() != 0:
        return "a capture needs root"
    # A container may lack the capability even for root.
    with tempfile.TemporaryDirectory() as folder:
        tried = subprocess.run(["tshark", "-q", "-i", "lo", "-a", "duration:1", "-w", f"{folder}/capture"],
                               capture_output=True, text=True, timeout=30)
    return f"tshark cannot capture here: {tried.stderr.strip()[-200:]}" if tried.returncode else None


WHY_NOT = missing()
if WHY_NOT:
    print(f"test_wire is skipped: {WHY_NOT}", file=sys.stderr)


def load_wire_check():
    loader = importlib.machinery.SourceFileLoader("wire_check", str(WIRE_CHECK))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("wire_check", loader))
    loader.exec_module(module)
    return module


@contextlib.contextmanager
def relayed(port):
    """One agent's datagrams to UDP `port` of loopback and back, one by one; gives the port to send to."""
    front, behind = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    for end in (front, behind):
        end.bind(("127.0.0.1", 0))
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    ended = threading.Event()

    def work():
        agent = None
        while not ended.is_set():
            for ready in select.select([front, behind], [], [], 0.1)[0]:
                datagram, source = ready.recvfrom(65536)
                if ready is front:
                    agent = source
                    behind.sendto(datagram, ("127.0.0.1", port))
                elif agent:
                    front.sendto(datagram, agent)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    try:
        yield front.getsockname()[1]
    finally:
        ended.set()
        worker.join(5)
        front.close()
        behind.close()


def frame(kind, flags, stream, payload):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def literal(name, value):
    """RFC 7541 section 6.2.2, both strings as they are."""
    return b"".join([b"\0", bytes([len(name)]), name, bytes([len(value)]), value])


def call_on_tcp(address):
    """ExecuteLogic with an empty message, in plain HTTP/2; true if the service answered that it knows no such session."""
    host, port = address.rsplit(":", 1)
    headers = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", PATH), (b":authority", b"node"),
               (b"content-type", b"application/grpc"), (b"te", b"trailers")]
    request = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"")
    request += frame(1, 4, 1, b"".join(literal(*header) for header in headers)) + frame(0, 1, 1, bytes(5))
    # Trailers, HPACK: the name grpc-status Huffman-coded, its value 16 (UNAUTHENTICATED) as it is.
    name = load_wire_check().huffman(b"grpc-status")
    said, wanted = b"", bytes([0x80 | len(name)]) + name + b"\x0216"
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request)
        end = time.monotonic() + 10
        while wanted not in said and time.monotonic() < end:
            piece = connection.recv(65536)
            if not piece:
                break
            said += piece
    return wanted in said


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Wire(MeshTest):
    def setUp(self):
        super().setUp()
        self.server = self.node("node", '[tcp]\nlisten = "127.0.0.1:0"\n' + self.capability(self.dataset()))
        self.port = int(self.server.address.split("/")[4])
        self.keys = self.folder / "keys"

    def check(self, *arguments):
        """Runs wire_check; returns (exit code, its verdict)."""
        done = subprocess.run([sys.executable, WIRE_CHECK, "--keylog", self.keys, *map(str, arguments)],
                              capture_output=True, text=True, timeout=120)
        lines = done.stdout.splitlines()
        return done.returncode, json.loads(lines[-1]) if lines else {}, done.stderr[-2000:]

    def run_command(self, port):
        address = self.server.address.split("/")
        address[4] = str(port)
        return [NMP, "run", "log-scan", FILTERS / "log_scan.wasm", "--node", "/".join(address), "--input", "args=--level\nERROR", "--key-log", self.keys, "--json", "--state", self.folder / "agent"]

    def test_a_run_is_http2_inside_a_quic_stream(self):
        saved = self.folder / "run.pcap"
        live = ("--live", self.port, "--save", saved, "--seconds", "60")
        for _ in range(3):
            with relayed(self.port) as port:
                code, verdict, errors = self.check(*live, "--", *self.run_command(port))
            # On a busy machine tshark misses datagrams, or meets them before their keys.
            if not any("could not be decrypted" in failure for failure in verdict["failures"]):
                break
        self.assertEqual(code, 0, f"{verdict} {errors}")
        call = next(call for call in verdict["calls"] if call["path"])
        self.assertTrue(call["preface"] and call["listener_settings"], verdict)
        self.assertIn('"event":"result"', errors.replace(" ", ""))
        # The same datagrams prove nothing about another path, or without the secrets.
        again = ("--pcap", saved, "--port", self.port)
        self.assertEqual(self.check(*again)[0], 0)
        code, verdict, errors = self.check(*again, "--path", PATH.decode() + "s")
        self.assertEqual(code, 1, f"{verdict} {errors}")
        self.keys.write_text("")
        code, verdict, errors = self.check(*again)
        self.assertEqual(code, 1, f"{verdict} {errors}")

    def test_the_same_call_on_tcp_is_not_taken_for_one(self):
        self.keys.write_text("")
        saved = self.folder / "tcp.pcap"
        address = self.server.ready["tcp"]
        capture = subprocess.Popen(["tshark", "-q", "-i", "lo", "-F", "pcap", "-a", "duration:4", "-f", f"tcp port {address.rsplit(':', 1)[1]}",
                                    "-w", saved], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            for line in capture.stderr:
                if "Capture started" in line or "File:" in line:
                    break
            time.sleep(0.3)
            reached = call_on_tcp(address)
            capture.communicate(timeout=30)
        finally:
            capture.kill()
            capture.wait()
        self.assertTrue(reached, "the service did not answer the call on TCP")
        raw = pathlib.Path(saved).read_bytes()
        self.assertIn(PATH, raw)  # And the capture holds it.
        code, verdict, errors = self.check("--pcap", saved)
        self.assertEqual(code, 1, f"{verdict} {errors}")
        self.assertIn("tcp", verdict)
        self.assertEqual(verdict["calls"], [])


if __name__ == "__main__":
    unittest.main()
