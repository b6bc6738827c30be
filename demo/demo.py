#!/usr/bin/env python3
"""The main job, step by step: separate processes, no shared state but the mesh. Run it by scripts/demo."""
import argparse
import base64
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import survival  # merges and draws the two hospitals' answers


class Failed(Exception):
    pass


class Demo:
    def __init__(self, options):
        self.nmp = os.path.abspath(options.nmp)
        self.filters = pathlib.Path(options.filters).absolute()
        self.data = pathlib.Path(options.data).absolute()
        self.check = options.check
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="nmp-demo-"))
        self.nodes = {}
        self.step_number = 0
        self.started = time.monotonic()

    # --- telling -----------------------------------------------------------------------------------------------------------
    def step(self, title):
        self.step_number += 1
        self.step_started = time.monotonic()
        print(f"\n\033[1m{self.step_number}. {title}\033[0m" if sys.stdout.isatty() else f"\n{self.step_number}. {title}", flush=True)

    def say(self, text):
        print("   " + text, flush=True)

    def done(self):
        print(f"   ({time.monotonic() - self.step_started:.1f} s)", flush=True)

    def claim(self, holds, text):
        self.say(("[ok] " if holds else "[NOT SO] ") + text)
        if not holds:
            raise Failed(text)

    # --- processes ---------------------------------------------------------------------------------------------------------
    def node(self, name, config, bootstrap=()):
        folder = self.work / name
        folder.mkdir()
        lines = ['listen = ["/ip4/127.0.0.1/udp/0/quic-v1"]', "bootstrap = " + json.dumps(list(bootstrap)), config]
        (folder / "node.toml").write_text("\n".join(lines))
        log = open(folder / "log", "w")
        process = subprocess.Popen(
            [self.nmp, "node", "--json", "--config", str(folder / "node.toml"), "--state", str(folder / "state")],
            stdout=subprocess.PIPE, stderr=log, text=True)
        self.nodes[name] = process
        line = process.stdout.readline()
        if not line:
            process.wait()
            raise Failed(f"node {name} did not start:\n{(folder / 'log').read_text()[-2000:]}")
        ready = json.loads(line)
        ready["name"] = name
        ready["address"] = ready["addrs"][0] if "/p2p/" in ready["addrs"][0] else f"{ready['addrs'][0]}/p2p/{ready['peer_id']}"
        return ready

    def agent(self, *arguments, expect=(0,), timeout=120):
        """Runs `nmp` as the agent; returns (exit code, its JSON lines)."""
        command = [self.nmp, *arguments, "--json", "--state", str(self.work / "agent")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
        lines = []
        for line in done.stdout.splitlines():
            lines.append(json.loads(line))
        if done.returncode not in expect:
            raise Failed(f"nmp {' '.join(arguments[:3])}... gave exit code {done.returncode}, not {expect}: {done.stderr[-1500:]}{done.stdout[-500:]}")
        return done.returncode, lines

    def close(self):
        for process in self.nodes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.nodes.values():
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(self.work, ignore_errors=True)

    # --- the story ---------------------------------------------------------------------------------------------------------
    def run(self):
        size = lambda path: os.path.getsize(path)
        human = lambda n: f"{n / 1e6:.1f} MB" if n >= 1e6 else f"{n / 1e3:.1f} kB" if n >= 1e3 else f"{n} bytes"
        a, b = self.data / "hospital-a", self.data / "hospital-b"
        flights = self.data / "flights"

        self.step("Four nodes start, each its own process; they know one address, the bootstrap's")
        bootstrap = self.node("bootstrap", "")
        survival_capability = lambda path: f'''
[[dataset]]
name = "trial"
path = {json.dumps(str(path))}
[[capability]]
name = "survival"
description = "Survival by treatment arm of the ACTG175 trial"
datasets = ["trial"]
memory = "64MiB"
fuel = 5_000_000_000
wall_time = "20s"
output = "4KiB"
open = true
'''
        hospital_a = self.node("hospital-a", survival_capability(a), [bootstrap["address"]])
        hospital_b = self.node("hospital-b", survival_capability(b), [bootstrap["address"]])
        airline = self.node("airline", f'''
[[dataset]]
name = "flights"
path = {json.dumps(str(flights))}
commit = false
[[capability]]
name = "flight-stats"
description = "Aggregates over flights"
datasets = ["flights"]
memory = "64MiB"
fuel = 200_000_000_000
wall_time = "60s"
output = "64KiB"
open = true
''', [bootstrap["address"]])
        for ready in (bootstrap, hospital_a, hospital_b, airline):
            self.say(f"{ready['name']:<11} {ready['peer_id']}")
        self.done()

        self.step("The agent asks the mesh who offers the capability \"survival\"")
        mesh = ["--bootstrap", bootstrap["address"]]
        found = []
        deadline = time.monotonic() + 20
        while len(found) < 2 and time.monotonic() < deadline:
            _, lines = self.agent("find", "survival", *mesh, expect=(0, 4))
            found = sorted({line["peer_id"] for line in lines if "peer_id" in line})
        self.claim(found == sorted([hospital_a["peer_id"], hospital_b["peer_id"]]),
                   "Kademlia names both hospitals and nobody else; no address of theirs was given")
        self.done()

        self.step("One filter goes to both hospitals; the patients stay where they are")
        module = self.filters / "km_survival.wasm"
        code, lines = self.agent("run", "survival", str(module), "--all", *mesh)
        results = [line for line in lines if line.get("event") == "result"]
        self.claim({r["peer_id"] for r in results} == {hospital_a["peer_id"], hospital_b["peer_id"]}, "both hospitals answered")
        for result in results:
            self.say(f"{result['peer_id'][:16]}...: answer of {len(result['evidence'])} bytes, limits {human(result['limits']['memory_bytes'])} of memory, "
                     f"used {human(result['used']['memory_bytes'])} and {result['used']['fuel']:,} fuel")
        merged = survival.merge([json.loads(result["evidence"]) for result in results])
        print(survival.draw(merged))
        patients = sum(arm["patients"] for arm in merged["arms"].values())
        expected = sum(len((folder / "actg175.csv").read_text().splitlines()) - 1 for folder in (a, b))
        self.claim(patients == expected, f"the merged curves cover all {expected:,} patients, not one row of whom left its hospital")
        received = sum(result["wire"]["received"] for result in results)
        stored = size(a / "actg175.csv") + size(b / "actg175.csv")
        self.say(f"came back: {human(received)}; stays put: {human(stored)} of data")
        self.done()

        self.step("The same agent asks the airline for delays by airport")
        flights_file = next(flights.glob("*.csv"))
        code, lines = self.agent("run", "flight-stats", str(self.filters / "csv_aggregate.wasm"), *mesh,
                                 "--input", f"args=--file\n{flights_file.name}\n--by\norigin\n--mean\ndelay\n--quantiles\ndelay:0.5,0.9")
        result = lines[-1]
        evidence = json.loads(result["evidence"])
        groups = evidence["groups"]
        rows = sum(group["count"] for group in groups)
        self.say(f"{rows:,} flights from {len(groups)} airports, scanned in place in {result['seconds']['run']:.1f} s; worst three by mean delay among the busy:")
        busy = [group for group in groups if group["count"] * 200 > rows]
        for group in sorted(busy, key=lambda g: -g["delay"]["mean"])[:3]:
            print(f"      {group['origin']}  {group['count']:>8,} flights   mean {group['delay']['mean']:6.1f} min   median {group['delay']['quantiles']['0.5']:6.1f}   90th percentile {group['delay']['quantiles']['0.9']:6.1f}")
        self.claim(rows == sum(1 for _ in open(flights_file)) - 1, "every row of the file was counted")
        self.say(f"came back: {human(result['wire']['received'])}; stays put: {human(size(flights_file))}")
        self.done()

        self.step("A row thief tries to carry the patients out, a memory bomb tries to take the node down")
        code, lines = self.agent("run", "survival", str(self.filters / "row_thief.wasm"), "--node", hospital_a["address"], *mesh, expect=(1, 3))
        self.claim(lines[-1]["reason"] == "output_limit", f"the thief is stopped at the node: {lines[-1].get('explanation') or lines[-1]['reason']}")
        code, lines = self.agent("run", "survival", str(self.filters / "memory_bomb.wasm"), "--node", hospital_a["address"], *mesh, expect=(1, 3))
        self.claim(lines[-1]["reason"] == "memory_limit", f"the bomb ends alone: {lines[-1].get('explanation') or lines[-1]['reason']}")
        code, lines = self.agent("run", "survival", str(module), "--node", hospital_a["address"], *mesh, "--receipt-out", str(self.work / "receipt"))
        self.claim(lines[-1]["event"] == "result", "the same node answers the next call")
        self.done()

        self.step("The receipt says what ran on what; anyone who pins the node can check it")
        receipt = self.work / "receipt"
        code, _ = self.agent("verify", str(receipt), "--peer", hospital_a["peer_id"], "--module", str(module))
        self.claim(code == 0, f"the receipt of {size(receipt)} bytes verifies: this module, this node, this data commitment")
        damaged = bytearray(receipt.read_bytes())
        damaged[len(damaged) // 2] ^= 1
        (self.work / "damaged").write_bytes(damaged)
        code, _ = self.agent("verify", str(self.work / "damaged"), "--peer", hospital_a["peer_id"], "--module", str(module), expect=(5,))
        self.claim(code == 5, "with one bit flipped it does not")
        self.done()
        print(f"\nAll of it took {time.monotonic() - self.started:.0f} seconds.")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nmp", required=True)
    parser.add_argument("--filters", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--offline", action="store_true")
    parser.add_argument("--check", action="store_true", help="exit 1 on the first claim that does not hold (always on)")
    demo = Demo(parser.parse_args())
    try:
        demo.run()
    except (Failed, subprocess.TimeoutExpired) as error:
        print(f"\nThe demo stopped: {error}", file=sys.stderr)
        for name in demo.nodes:
            log = demo.work / name / "log"
            if log.exists() and log.read_text().strip():
                print(f"--- log of {name}, last lines\n" + "\n".join(log.read_text().splitlines()[-8:]), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        demo.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
