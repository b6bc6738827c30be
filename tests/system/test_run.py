"""What `nmp run` promises, over QUIC between separate processes."""
import base64
import json
import signal
import subprocess
import threading
import time
import unittest

from mesh import FILTERS, NMP, MeshTest, cpu_time


class Run(MeshTest):
    def setUp(self):
        super().setUp()
        rows = "".join(f"INFO request {i}\n" for i in range(2000))
        self.data = self.dataset(files={"app.log": "INFO start\nERROR disk full\nWARN slow\nERROR again\n" + rows})
        self.server = self.node("node", self.capability(self.data, output="4KiB"))

    def scan(self, *arguments, **options):
        return self.run_ok("log-scan", FILTERS / "log_scan.wasm", "--node", self.server.address, *arguments, **options)

    def test_inputs_reach_the_filter_and_the_receipt_verifies(self):
        receipt = self.folder / "receipt"
        lines = self.scan("--input", "args=--level\nERROR", "--receipt-out", receipt)
        result = lines[-1]
        self.assertIn("ERROR", result["evidence"])
        self.assertEqual(base64.b64encode(base64.b64decode(result["receipt"], validate=True)).decode(), result["receipt"])
        self.assertEqual(result["trust"], "pinned")
        self.assertGreater(result["used"]["fuel"], 0)
        self.assertLessEqual(result["limits"]["output_bytes"], 4096)
        code, _, errors = self.agent("verify", receipt, "--peer", self.server.peer_id, "--module", FILTERS / "log_scan.wasm")
        self.assertEqual(code, 0, errors)
        # The same receipt, by somebody who knows neither node nor run: nobody vouches for the signer.
        code, _, _ = self.agent("verify", receipt, state="stranger")
        self.assertEqual(code, 5)
        code, _, _ = self.agent("verify", receipt, "--peer", self.server.peer_id, "--module", FILTERS / "row_thief.wasm")
        self.assertEqual(code, 5)

    def test_every_flipped_byte_of_a_receipt_is_refused(self):
        receipt = self.folder / "receipt"
        self.scan("--input", "args=--level\nERROR", "--receipt-out", receipt)
        whole = receipt.read_bytes()
        for at in range(0, len(whole), max(1, len(whole) // 24)):
            damaged = bytearray(whole)
            damaged[at] ^= 1
            (self.folder / "damaged").write_bytes(damaged)
            code, _, _ = self.agent("verify", self.folder / "damaged", "--peer", self.server.peer_id)
            self.assertEqual(code, 5, f"byte {at}")

    def test_a_request_can_only_lower_the_limits(self):
        result = self.scan("--input", "args=--level\nERROR", "--memory", "16MiB", "--output", "1GiB")[-1]
        self.assertEqual(result["limits"]["memory_bytes"], 16 << 20)
        self.assertEqual(result["limits"]["output_bytes"], 4096)

    def test_hostile_filters_end_alone_with_a_reason(self):
        before = None
        for name, reasons in (("endless_loop", {"fuel_exhausted", "out_of_fuel", "wall_time"}), ("memory_bomb", {"memory_limit"}), ("row_thief", {"output_limit"})):
            code, lines, errors = self.agent("run", "log-scan", FILTERS / f"{name}.wasm", "--node", self.server.address, "--timeout", "60s")
            self.assertEqual(code, 1, f"{name}: {lines} {errors}")
            self.assertIn(lines[-1]["reason"], reasons)
            self.scan("--input", "args=--level\nERROR")
            before = before or self.server.rss_bytes()
        self.assertLess(self.server.rss_bytes() - before, 64 << 20)

    def test_broken_and_hostile_modules_are_refused_by_name(self):
        for name, content in (("empty", b""), ("text", b"#!/bin/sh"), ("header", b"\0asm\1\0\0\0"), ("half", (FILTERS / "log_scan.wasm").read_bytes()[:5000])):
            file = self.folder / f"{name}.wasm"
            file.write_bytes(content)
            code, lines, errors = self.agent("run", "log-scan", file, "--node", self.server.address)
            self.assertIn(code, (1, 2, 3), f"{name}: {errors}")
            self.assertTrue(lines and lines[-1].get("reason"), f"{name}: {lines} {errors}")
        self.scan("--input", "args=--level\nERROR")

    def test_unknown_capability_and_closed_capability(self):
        code, lines, _ = self.agent("run", "no-such", FILTERS / "log_scan.wasm", "--node", self.server.address)
        self.assertEqual((code, lines[-1]["reason"]), (3, "unknown_capability"))
        closed = self.node("closed", self.capability(self.data, open=False))
        code, lines, _ = self.agent("run", "log-scan", FILTERS / "log_scan.wasm", "--node", closed.address)
        self.assertEqual((code, lines[-1]["reason"]), (3, "grant_required"))

    def test_receipt_kinds_that_do_not_exist_yet_are_not_faked(self):
        for kind in ("zk", "enclave"):
            code, lines, errors = self.agent("run", "log-scan", FILTERS / "log_scan.wasm", "--node", self.server.address, "--require", kind)
            self.assertEqual(code, 3, errors)
            self.assertEqual(lines[-1]["reason"], "not_available")

    def test_ipv6(self):
        node = self.node("six", self.capability(self.data), listen=("/ip6/::1/udp/0/quic-v1",))
        self.assertTrue(node.address.startswith("/ip6/::1/"))
        self.run_ok("log-scan", FILTERS / "log_scan.wasm", "--node", node.address, "--input", "args=--level\nERROR")

    def test_tcp_alone(self):
        """Where UDP does not pass: the bootstrap, the node and so the agent speak TCP only."""
        tcp = ("/ip4/127.0.0.1/tcp/0",)
        bootstrap = self.node("bootstrap", listen=tcp)
        self.assertIn("/tcp/", bootstrap.address)
        self.node("node", self.capability(self.data), bootstrap=[bootstrap.address], listen=tcp)
        lines = self.run_ok("log-scan", FILTERS / "log_scan.wasm", "--bootstrap", bootstrap.address, "--input", "args=--level\nERROR")
        self.assertIn("/tcp/", lines[-1]["address"])
        self.assertIn("ERROR", lines[-1]["evidence"])

    def test_another_key_at_the_address_is_refused(self):
        other = self.node("other", self.capability(self.data))
        address = self.server.address.rsplit("/p2p/", 1)[0] + "/p2p/" + other.peer_id
        code, lines, _ = self.agent("run", "log-scan", FILTERS / "log_scan.wasm", "--node", address, "--timeout", "10s")
        self.assertEqual(code, 4, lines)

    def test_a_node_killed_in_mid_run_is_a_named_reason(self):
        slow = self.node("slow", self.capability(self.data, fuel=10**15, wall_time="60s"))
        process = subprocess.Popen([NMP, "run", "log-scan", str(FILTERS / "endless_loop.wasm"), "--node", slow.address, "--timeout", "40s",
                                    "--json", "--state", str(self.folder / "agent")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(2)
        slow.kill()
        out, errors = process.communicate(timeout=60)
        self.assertIn(process.returncode, (3, 4), errors)
        self.assertTrue(json.loads(out.splitlines()[-1]).get("reason"))

    def test_ctrl_c_cancels_at_the_node(self):
        slow = self.node("slow", self.capability(self.data, fuel=10**15, wall_time="60s"), arguments=("--verbose",))
        process = subprocess.Popen([NMP, "run", "log-scan", str(FILTERS / "endless_loop.wasm"), "--node", slow.address, "--timeout", "50s",
                                    "--json", "--state", str(self.folder / "agent")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 20
        while "event=negotiated" not in slow.log_text() and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        self.assertEqual(process.returncode, 130)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            before = cpu_time(slow.process.pid)
            time.sleep(0.5)
            if cpu_time(slow.process.pid) - before < 0.25:
                return
        self.fail("the run goes on after its agent has gone")


if __name__ == "__main__":
    unittest.main()
