"""Watchdogs: filters that live on at the node after their agent has gone, across restarts and kill -9."""
import json
import os
import pathlib
import signal
import subprocess
import time

import mesh
from mesh import FILTERS, NMP, MeshTest, end

LONG = os.environ.get("NMP_LONG") == "1"


class WatchTest(MeshTest):
    def watch_node(self, watch="", name="node", limits="", **keys):
        self.data = self.dataset(files={"app.log": "ERROR before\n"})
        config = limits + self.capability(self.data, fuel=500_000_000, wall_time="5s", **keys) + "[capability.watch]\n" + watch
        return self.node(name, config)

    def start_watch(self, node, *arguments, args="--contains\nERROR\n--every\n200", **options):
        code, lines, errors = self.agent("watch", "start", "log-scan", FILTERS / "watchdog.wasm", "--node", node.address,
                                         "--input", f"args={args}", *arguments, **options)
        self.assertEqual(code, 0, errors)
        self.assertEqual(lines[-1]["event"], "deployed")
        return lines[-1]["id"]

    def append(self, *lines, file="app.log"):
        with open(self.data / file, "a") as log:
            log.writelines(f"{line}\n" for line in lines)

    def events(self, node, watch, count, *arguments, **options):
        code, lines, errors = self.agent("watch", "events", watch, "--node", node.address, "--count", count, *arguments, **options)
        self.assertEqual(code, 0, f"{lines} {errors} {node.log_text()}")
        return [(line["seq"], json.loads(line["data"])["text"]) for line in lines if line["event"] == "push"]

    def status(self, node, watch, **options):
        code, lines, errors = self.agent("watch", "list", "--node", node.address, **options)
        self.assertEqual(code, 0, errors)
        return next((line for line in lines if line["id"] == watch), None)

    def wait_for_event(self, node, watch, number, seconds=30):
        """Until the node has kept event `number`."""
        until = time.monotonic() + seconds
        while (now := self.status(node, watch))["next_seq"] <= number:
            self.assertLess(time.monotonic(), until, f"{now} {node.log_text()}")
            time.sleep(0.1)

    def test_it_outlives_its_agent_and_its_node(self):
        node = self.watch_node()
        watch = self.start_watch(node)
        # The agent is gone; what it left looks on, and a changed file wakes it.
        self.append("ERROR one", "INFO nothing", "ERROR two")
        self.assertEqual(self.events(node, watch, 2), [(0, "ERROR one"), (1, "ERROR two")])
        self.append("ERROR three")
        self.wait_for_event(node, watch, 2)
        node.stop()
        node.log = open(node.folder / "log", "a")
        self.append("ERROR while the node was away")
        node.start()
        # It goes on where it stood: nothing twice after an orderly end, nothing lost.
        self.append("ERROR after")
        self.assertEqual(self.events(node, watch, 5), [
            (0, "ERROR one"), (1, "ERROR two"), (2, "ERROR three"), (3, "ERROR while the node was away"), (4, "ERROR after")])
        self.assertEqual(self.status(node, watch)["starts"], 2)
        # Acknowledged is forgotten; the numbers stay.
        code, _, errors = self.agent("watch", "ack", watch, 2, "--node", node.address)
        self.assertEqual(code, 0, errors)
        self.assertEqual(self.events(node, watch, 1), [(3, "ERROR while the node was away")])
        self.assertEqual(self.events(node, watch, 1, "--from", 4, "--ack"), [(4, "ERROR after")])
        now = self.status(node, watch)
        self.assertEqual((now["first_seq"], now["next_seq"], now["state"]), (5, 5, "running"))
        # A minute later it has cost next to nothing: asleep, it holds no thread.
        before = mesh.cpu_time(node.process.pid)
        time.sleep(2)
        self.assertLess(mesh.cpu_time(node.process.pid) - before, 0.5)

    def test_only_its_owner(self):
        node = self.watch_node()
        watch = self.start_watch(node)
        self.append("ERROR secret")
        self.wait_for_event(node, watch, 0)
        # Another key, with the ID and everything else right, learns no more than from a guessed one.
        for known in (watch, "0" * 32):
            for command in (["events", known, "--count", "1"], ["ack", known, "0"], ["logs", known], ["stop", known]):
                code, lines, errors = self.agent("watch", *command, "--node", node.address, state="thief")
                self.assertEqual((code, lines[-1]["reason"]), (4, "not_found"), f"{command} {lines} {errors}")
                self.assertEqual(lines[-1]["message"], self.agent("watch", "logs", "f" * 32, "--node", node.address,
                                                                  state="thief")[1][-1]["message"])
        code, lines, _ = self.agent("watch", "list", "--node", node.address, state="thief")
        self.assertEqual((code, lines), (0, []))
        self.assertEqual(self.events(node, watch, 1), [(0, "ERROR secret")])
        # What rests is sealed, and after a stop it is gone from the disk, the key with it.
        state = pathlib.Path(node.state)
        on_disk = b"".join(file.read_bytes() for file in state.glob("watchdogs.db*"))
        self.assertIn(bytes.fromhex(watch), on_disk)
        self.assertNotIn(b"secret", on_disk)
        self.assertNotIn(b"--contains", on_disk)
        self.assertEqual((state / "storage.key").stat().st_mode & 0o777, 0o600)
        code, lines, errors = self.agent("watch", "stop", watch, "--node", node.address)
        self.assertEqual((code, lines[-1]["event"]), (0, "stopped"), errors)
        self.assertNotIn(bytes.fromhex(watch), b"".join(file.read_bytes() for file in state.glob("watchdogs.db*")))
        self.assertIsNone(self.status(node, watch))
        node.stop()
        node.log = open(node.folder / "log", "a")
        node.start()
        self.assertIsNone(self.status(node, watch))

    def test_events_come_live_and_the_stream_outlives_a_restart(self):
        node = self.watch_node()
        watch = self.start_watch(node)
        stream = subprocess.Popen(
            [NMP, "watch", "events", watch, "--node", node.address, "--ack", "--json", "--state", str(self.folder / "agent")],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(end, stream)
        self.append("ERROR live")
        self.assertEqual(json.loads(stream.stdout.readline())["seq"], 0)
        port = node.address.split("/")[4]
        node.kill()
        (node.folder / "node.toml").write_text((node.folder / "node.toml").read_text().replace("/udp/0/", f"/udp/{port}/"))
        node.start()
        self.append("ERROR again")
        seen = json.loads(stream.stdout.readline())
        # At least once: the first may come twice after a kill, and is then the same event's repetition by the guest.
        while json.loads(seen["data"])["text"] != "ERROR again":
            seen = json.loads(stream.stdout.readline())
        stream.send_signal(signal.SIGINT)
        self.assertEqual(stream.wait(20), 130)

    def test_refusals(self):
        closed = self.node("plain", self.capability(self.dataset(name="plain")))
        code, lines, _ = self.agent("watch", "start", "log-scan", FILTERS / "watchdog.wasm", "--node", closed.address)
        self.assertEqual((code, lines[-1]["reason"]), (3, "not_available"))
        code, lines, _ = self.agent("watch", "list", "--node", closed.address)
        self.assertEqual((code, lines[-1]["reason"]), (3, "not_available"))
        node = self.watch_node(limits="[limits]\nwatchdogs_per_caller = 1\n")
        self.start_watch(node)
        code, lines, _ = self.agent("watch", "start", "log-scan", FILTERS / "watchdog.wasm", "--node", node.address)
        self.assertEqual((code, lines[-1]["reason"]), (3, "too_many_watchdogs"), lines)
        # Another agent's quota is its own.
        self.start_watch(node, state="other")
        code, _, errors = self.agent("watch", "events", "not-an-id", "--node", node.address)
        self.assertEqual(code, 2)
        self.assertIn("32 hexadecimal digits", errors)

    def test_one_that_fails_says_so(self):
        node = self.watch_node()
        watch = self.start_watch(node, args="--nonsense\nx")
        until = time.monotonic() + 30
        while (now := self.status(node, watch))["starts"] < 2:
            self.assertLess(time.monotonic(), until, now)
            time.sleep(0.2)
        self.assertEqual(now["reason"], "exit_code")
        code, lines, errors = self.agent("watch", "logs", watch, "--node", node.address)
        self.assertEqual(code, 0, errors)
        text = "\n".join(line["text"] for line in lines)
        self.assertIn("| watchdog: unknown option", text)
        self.assertIn("exit code 2; again in 1 s", text)

    def test_kill_in_a_loop_loses_nothing(self):
        """kill -9 at chance moments while lines are written: each line is an event, at least once, in order."""
        node = self.watch_node(events=1_000_000, event_bytes="256MiB")
        watches = [self.start_watch(node) for _ in range(3)]
        written, kills = 0, 0
        until = time.monotonic() + (600 if LONG else 15)
        while time.monotonic() < until:
            for _ in range(20):
                self.append(f"ERROR line {written}")
                written += 1
                time.sleep(0.01)
            node.kill()
            kills += 1
            node.start()
        for watch in watches:
            seen, numbers = set(), []
            at = 0
            deadline = time.monotonic() + 60
            while len(seen) < written:
                self.assertLess(time.monotonic(), deadline, f"{len(seen)} of {written} after {kills} kills")
                self.wait_for_event(node, watch, at)
                known = self.status(node, watch)["next_seq"]
                for number, text in self.events(node, watch, known - at, "--from", at):
                    numbers.append(number)
                    line = int(text.split()[-1])
                    self.assertLessEqual(line, len(seen), "a line was left out")
                    seen.add(line)
                at = known
            self.assertEqual(numbers, list(range(len(numbers))), "sequence numbers have no gap and no repetition")
            self.assertLess(len(numbers), written + 200 * kills)
        print(f"{kills} kills, {written} lines, {len(watches)} watchdogs: none lost")
