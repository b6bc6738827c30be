"""A gigabyte of events to a reader that stops in mid-stream: the guest is held, no memory grows, nothing is lost."""
import json
import os
import select
import signal
import subprocess
import threading
import time
import unittest

from mesh import FILTERS, NMP, MeshTest, cpu_time, end, status_bytes

EVENT_BYTES = 32 << 10
EVENTS = (1 << 30) // EVENT_BYTES
GROWTH_MAX = 16 << 20
# In the long variant longer than a QUIC connection may be idle.
STALL_SECONDS = 40 if os.environ.get("NMP_LONG") else 10
RUN_SECONDS = 240
ALPHABET = "abcdefghijklmnopqrstuvwxyz"
LETTERS = ALPHABET * (EVENT_BYTES // len(ALPHABET) + 2)


def event_text(number):
    shift = number % len(ALPHABET)
    return f"{number:016d} " + LETTERS[shift:shift + EVENT_BYTES - 17]


class Sampler:
    """The resident memory of some processes, twenty times a second, until told to stop."""

    def __init__(self, pids):
        self.largest = dict.fromkeys(pids, 0)
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._sample, daemon=True)
        self.thread.start()

    def _sample(self):
        while not self.ended.wait(0.05):
            for pid in self.largest:
                self.largest[pid] = max(self.largest[pid], status_bytes(pid) or 0)

    def stop(self):
        self.ended.set()
        self.thread.join(5)


class Lines:
    """Lines of a pipe, each waited for until a deadline."""

    def __init__(self, pipe, deadline):
        self.descriptor = pipe.fileno()
        self.deadline = deadline
        self.pieces = []
        self.ready = []

    def __iter__(self):
        return self

    def __next__(self):
        while not self.ready:
            left = self.deadline - time.monotonic()
            if left <= 0 or not select.select([self.descriptor], [], [], left)[0]:
                raise AssertionError(f"no line in {RUN_SECONDS} s")
            piece = os.read(self.descriptor, 1 << 16)
            if not piece:
                raise StopIteration
            self.pieces.append(piece)
            if b"\n" in piece:
                *whole, rest = b"".join(self.pieces).split(b"\n")
                self.pieces = [rest]
                self.ready = whole[::-1]
        return self.ready.pop()


class Stall(MeshTest):
    def setUp(self):
        super().setUp()
        self.server = self.node("node", self.capability(self.dataset(), fuel=10**15, wall_time="300s", events=10**9, event_bytes="64GiB"))

    def firehose(self, count, *arguments):
        return ["run", "log-scan", str(FILTERS / "firehose.wasm"), "--node", self.server.address,
                "--input", f"args=--count\n{count}\n--bytes\n{EVENT_BYTES}", *arguments]

    def test_a_reader_that_stops_holds_only_the_guest(self):
        # The module is compiled, and every page that a run touches anyway is there, before anything is measured.
        self.run_ok(*self.firehose(64)[1:])
        node_before = self.server.rss_bytes()
        receipt = self.folder / "receipt"
        started = time.monotonic()
        process = subprocess.Popen([NMP, *self.firehose(EVENTS, "--receipt-out", str(receipt)), "--timeout", f"{RUN_SECONDS}s", "--json",
                                    "--state", str(self.folder / "agent")], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(end, process)
        errors = []
        drain = threading.Thread(target=lambda: errors.append(process.stderr.read()), daemon=True)
        drain.start()
        sampler = Sampler([self.server.process.pid, process.pid])
        lines = Lines(process.stdout, started + RUN_SECONDS)
        seen = 0
        result = None
        agent_before = None
        for line in lines:
            message = json.loads(line)
            if message["event"] != "push":
                result = message
                break
            self.assertEqual(message["seq"], seen)
            if message["data"] != event_text(seen):
                self.fail(f"event {seen}: {message['data'][:60]!r}")
            seen += 1
            if seen == 16:
                agent_before = status_bytes(process.pid)
            if seen == EVENTS // 4:
                self.stall(process)
        wall = time.monotonic() - started
        self.assertIsNotNone(result, errors)
        sampler.stop()
        self.assertEqual(process.wait(30), 0, result)
        drain.join(5)
        self.assertEqual(result["event"], "result")
        self.assertEqual(seen, EVENTS)
        self.assertEqual(result["used"]["events"], EVENTS)
        self.assertEqual(result["used"]["event_bytes"], EVENTS * EVENT_BYTES)
        self.assertEqual(json.loads(result["evidence"]), {"events": EVENTS, "bytes": EVENTS * EVENT_BYTES})
        code, _, words = self.agent("verify", receipt, "--peer", self.server.peer_id, "--module", FILTERS / "firehose.wasm")
        self.assertEqual(code, 0, words)
        node_growth = sampler.largest[self.server.process.pid] - node_before
        agent_growth = sampler.largest[process.pid] - agent_before
        print(f"\n{EVENTS * EVENT_BYTES >> 20} MiB in {wall:.1f} s; node {node_before / 2**20:.1f} MiB + {node_growth / 2**20:.1f}, "
              f"agent {agent_before / 2**20:.1f} MiB + {agent_growth / 2**20:.1f}, {self.held}")
        self.assertLess(node_growth, GROWTH_MAX, "the node holds events")
        self.assertLess(agent_growth, GROWTH_MAX, "the agent holds events")

    def stall(self, process):
        """Reads nothing for a while. In the first second the rooms on the way fill up; after it, nobody has anything to do."""
        time.sleep(1)
        pids = (self.server.process.pid, process.pid)
        before = [cpu_time(pid) for pid in pids]
        time.sleep(STALL_SECONDS - 1)
        used = [cpu_time(pid) - start for pid, start in zip(pids, before)]
        self.assertIsNone(process.poll())
        self.held = f"processor time while held: {used}"
        # The guest writes hundreds of MiB a second when it is not held.
        self.assertLess(max(used), 0.5, "somebody works although nobody reads")


if __name__ == "__main__":
    unittest.main()
