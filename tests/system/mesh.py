"""Starts and stops real nodes for the system tests. Every wait is bounded, every child is ended."""
import json
import os
import pathlib
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
NMP = os.environ.get("NMP", str(ROOT / "build/release/bin/nmp"))
FILTERS = pathlib.Path(os.environ.get("NMP_FILTERS", ROOT / "build/filters"))


def status_bytes(pid, key="VmRSS"):
    """A size of /proc/PID/status; None once the process has ended."""
    try:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return None


def cpu_time(pid):
    """Seconds of processor that a process has used."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Node:
    """One `nmp node` process. `ready` is its first line."""

    def __init__(self, folder, config="", bootstrap=(), listen=("/ip4/127.0.0.1/udp/0/quic-v1",), arguments=(), wait=True, state=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        text = f"listen = {json.dumps(list(listen))}\nbootstrap = {json.dumps(list(bootstrap))}\n{config}"
        (self.folder / "node.toml").write_text(text)
        self.log = open(self.folder / "log", "a")
        self.arguments = arguments
        self.state = state or self.folder / "state"
        self.start(wait)

    def start(self, wait=True):
        self.process = subprocess.Popen(
            [NMP, "node", "--json", "--config", str(self.folder / "node.toml"), "--state", str(self.state), *self.arguments],
            stdout=subprocess.PIPE, stderr=self.log, text=True)
        if wait:
            self.wait_ready()

    def wait_ready(self, seconds=60):
        lines = queue.Queue()
        threading.Thread(target=lambda: lines.put(self.process.stdout.readline()), daemon=True).start()
        try:
            line = lines.get(timeout=seconds)
        except queue.Empty:
            raise AssertionError(f"node was not ready in {seconds} s: {self.log_text()}") from None
        if not line:
            raise AssertionError(f"node ended with {self.process.wait()}: {self.log_text()}")
        self.ready = json.loads(line)
        self.peer_id = self.ready["peer_id"]
        self.address = self.ready["addrs"][0]

    def log_text(self):
        return (self.folder / "log").read_text()[-3000:]

    def rss_bytes(self):
        size = status_bytes(self.process.pid)
        if size is None:
            raise AssertionError(f"the node has ended: {self.log_text()}")
        return size

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def stop(self, seconds=15):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if not self.process.stdout.closed:
            self.process.stdout.close()
        self.log.close()
        return self.process.returncode


def end(process):
    """Kills a process whose output is piped here, if it still runs, and forgets it."""
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    process.stderr.close()


class MeshTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nmp-test-"))
        self.nodes = []
        self.addCleanup(self._end)

    def _end(self):
        for node in self.nodes:
            if node.process.poll() is None:
                node.process.send_signal(signal.SIGTERM)
        for node in self.nodes:
            node.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def node(self, name, *arguments, **options):
        node = Node(self.folder / name, *arguments, **options)
        self.nodes.append(node)
        return node

    def dataset(self, name="data", files=None):
        folder = self.folder / f"dataset-{name}"
        folder.mkdir(exist_ok=True)
        for file, text in (files or {"app.log": "INFO start\nERROR disk full\nWARN slow\nERROR again\n"}).items():
            (folder / file).write_text(text)
        return folder

    def capability(self, folder, name="log-scan", dataset="logs", **keys):
        settings = {"memory": "64MiB", "fuel": 5_000_000_000, "wall_time": "20s", "output": "1MiB", "open": True} | keys
        lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in settings.items())
        return f'[[dataset]]\nname = "{dataset}"\npath = {json.dumps(str(folder))}\n[[capability]]\nname = "{name}"\ndatasets = ["{dataset}"]\n{lines}\n'

    def agent(self, *arguments, state="agent", timeout=120, env=None):
        """Runs nmp; returns (exit code, JSON lines, stderr)."""
        done = subprocess.run([NMP, *map(str, arguments), "--json", "--state", str(self.folder / state)],
                              capture_output=True, text=True, timeout=timeout, env=(os.environ | env) if env else None)
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines() if line.strip()], done.stderr

    def run_ok(self, *arguments, **options):
        code, lines, errors = self.agent("run", *arguments, **options)
        self.assertEqual(code, 0, f"{lines[-1:]} {errors[-2000:]}")
        self.assertEqual(lines[-1]["event"], "result")
        return lines
