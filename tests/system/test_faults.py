"""Processes that die, freeze or crowd in mid-run: whoever is left ends for a named reason, in time, and keeps nothing."""
import json
import os
import pathlib
import re
import select
import signal
import socket
import sqlite3
import subprocess
import time
import unittest

from mesh import FILTERS, NMP, ROOT, MeshTest, cpu_time, end

# A connection is kept alive after 12 s of silence, and ends when that has been unanswered for 30 s more.
KEEP_ALIVE_SECONDS = 12
SILENCE_SECONDS = KEEP_ALIVE_SECONDS + 30
SLACK_SECONDS = 10
# A member of a small mesh looks for others at the next tick, 15 s apart, once it has noticed that it lost one.
REDIAL_SECONDS = SILENCE_SECONDS + 15
RSS_GROWTH_MAX = 24 << 20
CROWD = 50
SESSIONS_PER_CALLER = 16
ERRORS_MD = (ROOT / "docs/errors.md").read_text()
EXIT_CODES = {row[1]: int(row[2]) for row in re.finditer(r"^\| `(\w+)` \| \w+ \| (\d+) \|", ERRORS_MD, re.MULTILINE)}


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listen_on(port):
    return (f"/ip4/127.0.0.1/udp/{port}/quic-v1",)


def holds(pid):
    """(descriptors, threads) of a process."""
    threads = re.search(r"^Threads:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return len(os.listdir(f"/proc/{pid}/fd")), int(threads[1])


def wait_until(true, seconds, every=0.05):
    """The seconds it took; None once they are over."""
    started = time.monotonic()
    while not true():
        if time.monotonic() - started > seconds:
            return None
        time.sleep(every)
    return time.monotonic() - started


class Faults(MeshTest):
    def setUp(self):
        super().setUp()
        self.data = self.dataset()

    def serve(self, name="node", port=0, **options):
        """A node whose runs may last as long as a test needs."""
        config = self.capability(self.data, fuel=10**15, wall_time="300s")
        return self.node(name, config, listen=listen_on(port), arguments=("--verbose",), **options)

    def scan(self, node, *arguments, **options):
        result = self.run_ok("log-scan", FILTERS / "log_scan.wasm", "--node", node.address, "--input", "args=--level\nERROR", *arguments,
                             **options)[-1]
        self.assertEqual(json.loads(result["evidence"])["matched"], 2)
        return result

    def start(self, node, filter_name, *arguments, state="agent", timeout="120s"):
        process = subprocess.Popen([NMP, "run", "log-scan", str(FILTERS / f"{filter_name}.wasm"), "--node", node.address, *arguments,
                                    "--timeout", timeout, "--json", "--state", str(self.folder / state)],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(end, process)
        return process

    def start_watchdog(self, node, **options):
        """Has pushed an event when this returns, and sleeps."""
        process = self.start(node, "watchdog", "--input", "args=--contains\ndisk full\n--from\nstart", **options)
        ready = select.select([process.stdout], [], [], 30)[0]
        self.assertTrue(ready, node.log_text())
        line = json.loads(process.stdout.readline())
        self.assertEqual(line["event"], "push")
        return process

    def start_loop(self, node, **options):
        """Uses the node's processor when this returns."""
        process = self.start(node, "endless_loop", **options)
        before = cpu_time(node.process.pid)
        self.assertIsNotNone(wait_until(lambda: cpu_time(node.process.pid) > before + 1, 30), node.log_text())
        return process

    def ended(self, process, seconds):
        """Exit code and last line of an agent that must end by itself, both as docs/errors.md says."""
        out, errors = process.communicate(timeout=seconds)
        lines = out.splitlines()
        self.assertTrue(lines, errors)
        last = json.loads(lines[-1])
        if process.returncode != 0:
            self.assertIn(last.get("reason"), EXIT_CODES, last)
            self.assertEqual(process.returncode, EXIT_CODES[last["reason"]], last)
        return process.returncode, last

    def runs_ended(self, node):
        """Reasons of the runs that the node has ended so far."""
        return re.findall(r"event=run_ended .*?reason=(\w+)", (node.folder / "log").read_text())

    def ledger(self, node):
        """Intents that the node will not accept again."""
        database = sqlite3.connect(f"file:{node.state / 'node.db'}?mode=ro", uri=True)
        try:
            self.assertEqual(database.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
            return set(database.execute("SELECT agent, nonce FROM replay"))
        finally:
            database.close()

    def manifest_seq(self, node):
        code, lines, errors = self.agent("describe", node.address)
        self.assertEqual(code, 0, errors)
        return lines[-1]["seq"]

    def assert_settled(self, node, before, rss):
        """Descriptors and threads are back to what they were, memory nearly."""
        wait_until(lambda: holds(node.process.pid) == before, SLACK_SECONDS)
        self.assertEqual(holds(node.process.pid), before, "(descriptors, threads)")
        self.assertLess(node.rss_bytes() - rss, RSS_GROWTH_MAX)

    def test_a_killed_node_comes_back_with_its_state(self):
        node = self.serve(port=free_port())
        receipt = self.folder / "receipt"
        self.scan(node, "--receipt-out", receipt)
        process = self.start_watchdog(node, timeout="10s")
        peer, seq, ledger = node.peer_id, self.manifest_seq(node), self.ledger(node)
        self.assertEqual(len(ledger), 2)
        node.kill()
        node.start()
        self.assertEqual(node.peer_id, peer)
        self.assertNotEqual(self.ended(process, 10 + SLACK_SECONDS)[0], 0)
        self.assertLessEqual(ledger, self.ledger(node))
        # An agent refuses a manifest that is older than one it has seen.
        self.assertGreater(self.manifest_seq(node), seq)
        self.scan(node)
        code, _, errors = self.agent("verify", receipt, "--peer", peer, "--module", FILTERS / "log_scan.wasm")
        self.assertEqual(code, 0, errors)

    def test_a_restarted_node_tells_the_agents_of_its_earlier_life(self):
        node = self.serve(port=free_port())
        process = self.start_watchdog(node)
        node.kill()
        node.start()
        self.assertIsNotNone(wait_until(lambda: process.poll() is not None, KEEP_ALIVE_SECONDS + SLACK_SECONDS), "the agent still waits")
        self.assertEqual(self.ended(process, SLACK_SECONDS)[1]["reason"], "unavailable")

    def test_a_provider_joins_once_its_bootstrap_is_there(self):
        bootstrap = self.node("bootstrap", listen=listen_on(free_port()))
        bootstrap.kill()
        provider = self.node("provider", self.capability(self.data), bootstrap=[bootstrap.address], wait=False)
        self.assertIsNotNone(wait_until(lambda: "event=join_failed" in provider.log_text(), 30), provider.log_text())
        bootstrap.start()
        provider.wait_ready()
        self.assertIsNotNone(self.found_through(bootstrap, provider, 10), provider.log_text())

    def test_members_redial_a_restarted_bootstrap(self):
        bootstrap = self.node("bootstrap", listen=listen_on(free_port()))
        provider = self.node("provider", self.capability(self.data), bootstrap=[bootstrap.address])
        other = self.node("other", bootstrap=[bootstrap.address])
        self.assertIsNotNone(self.found_through(bootstrap, provider, 30))
        bootstrap.kill()
        # The others do without it.
        self.assertIsNotNone(self.found_through(other, provider, 30))
        bootstrap.start()
        seconds = self.found_through(bootstrap, provider, REDIAL_SECONDS + SLACK_SECONDS)
        self.assertIsNotNone(seconds, "nobody has dialled the bootstrap again")
        print(f"\nfound through the restarted bootstrap after {seconds:.0f} s")

    def found_through(self, entry, provider, seconds):
        """How long it takes until a newcomer, who knows `entry` alone, finds the provider."""
        def found():
            code, lines, _ = self.agent("find", "log-scan", "--bootstrap", entry.address, "--timeout", "5s")
            return code == 0 and lines[0]["peer_id"] == provider.peer_id
        return wait_until(found, seconds, every=1)

    def test_agents_that_die_or_freeze_lose_only_their_runs(self):
        node = self.serve()
        pid = node.process.pid
        # A module that was compiled keeps a descriptor.
        self.scan(node)
        self.run_ok("log-scan", FILTERS / "watchdog.wasm", "--node", node.address, "--input", "args=--rounds\n1")
        self.agent("run", "log-scan", FILTERS / "endless_loop.wasm", "--node", node.address, "--wall-time", "200ms")
        before, rss, earlier = holds(pid), node.rss_bytes(), len(self.runs_ended(node))
        frozen = self.start_watchdog(node, state="frozen")
        sleeper = self.start_watchdog(node, state="sleeper")
        loop = self.start_loop(node, state="loop")
        frozen.send_signal(signal.SIGSTOP)
        sleeper.kill()
        loop.kill()
        started = time.monotonic()
        self.scan(node)
        earlier += 1
        self.assertIsNotNone(wait_until(lambda: len(self.runs_ended(node)) >= earlier + 3, SILENCE_SECONDS + SLACK_SECONDS),
                             f"runs go on without their agents: {self.runs_ended(node)}")
        node_seconds = time.monotonic() - started
        self.assertEqual(self.runs_ended(node)[earlier:], ["cancelled"] * 3)
        used = cpu_time(pid)
        time.sleep(1)
        self.assertLess(cpu_time(pid) - used, 0.5)
        self.assert_settled(node, before, rss)
        self.scan(node)
        frozen.send_signal(signal.SIGCONT)
        started = time.monotonic()
        code, last = self.ended(frozen, SILENCE_SECONDS + SLACK_SECONDS)
        print(f"\nruns of lost agents end after {node_seconds:.1f} s; a thawed agent after {time.monotonic() - started:.1f} s: {last}")
        self.assertNotEqual(code, 0)
        self.scan(node, state="frozen")

    def test_a_crowd_is_answered(self):
        node = self.serve()
        self.scan(node)
        before, rss = holds(node.process.pid), node.rss_bytes()
        answered = self.crowd(node, [f"agent-{i}" for i in range(CROWD)], {"busy"})
        self.assertGreaterEqual(answered, CROWD // 2)
        self.assert_settled(node, before, rss)
        # Of one agent's, as many as it may have sessions; those above its connections find the node unavailable. Making its key is part
        # of the crowding.
        answered = self.crowd(node, ["one"] * CROWD, {"busy", "too_many_sessions", "unavailable"})
        self.assertGreaterEqual(answered, SESSIONS_PER_CALLER)
        self.assert_settled(node, before, rss)
        self.scan(node, state="one")

    def crowd(self, node, states, reasons):
        """How many were answered; the others were refused for one of `reasons`."""
        started = time.monotonic()
        answered = 0
        for process in [self.start(node, "log_scan", "--input", "args=--level\nERROR", state=state) for state in states]:
            code, last = self.ended(process, 120)
            if code == 0:
                self.assertEqual(json.loads(last["evidence"])["matched"], 2)
                answered += 1
            else:
                self.assertIn(last["reason"], reasons)
        print(f"\n{answered} of {len(states)} answered in {time.monotonic() - started:.1f} s")
        return answered

    def test_ctrl_c_ends_a_sleeping_run_at_the_node(self):
        node = self.serve()
        process = self.start_watchdog(node)
        process.send_signal(signal.SIGINT)
        self.assertIsNotNone(wait_until(lambda: self.runs_ended(node), 20), "the run goes on")
        self.assertEqual(self.runs_ended(node), ["cancelled"])
        process.communicate(timeout=20)
        self.assertEqual(process.returncode, 130)

    def test_ctrl_c_is_a_documented_reason(self):
        node = self.serve()
        process = self.start_watchdog(node)
        process.send_signal(signal.SIGINT)
        code, last = self.ended(process, 20)
        self.assertEqual((code, last["reason"]), (130, "cancelled"))


if __name__ == "__main__":
    unittest.main()
