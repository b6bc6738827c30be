"""Clumsy and hostile input at the command line: a named reason, the right exit code, nothing lost."""
import json
import os
import pathlib
import socket
import stat
import subprocess
import unittest

from mesh import FILTERS, NMP, MeshTest


def nmp(*arguments, **options):
    return subprocess.run([NMP, *map(str, arguments)], capture_output=True, text=True, timeout=60, **options)


class BadInput(MeshTest):
    def test_help_everywhere_with_examples(self):
        for command in ([], ["node"], ["run"], ["find"], ["describe"], ["ping"], ["key"], ["verify"], ["filter"], ["filter", "run"], ["config"]):
            done = nmp(*command, "--help")
            self.assertEqual(done.returncode, 0, command)
            self.assertIn("nmp", done.stdout)
        self.assertIn("Example", nmp("run", "--help").stdout)

    def test_usage_errors_are_two(self):
        for command in (["no-such"], ["run"], ["run", "cap", "/no/such/file.wasm"], ["ping", "not-an-address"], ["run", "BAD NAME", __file__]):
            done = nmp(*command, "--state", self.folder / "s") if command[0] != "no-such" else nmp(*command)
            self.assertEqual(done.returncode, 2, f"{command}: {done.stdout} {done.stderr}")
            self.assertTrue(done.stderr)

    def test_bad_configuration_names_line_and_key(self):
        cases = {
            "toml": "listen = [",
            "unknown": 'lisen = []\n',
            "size": '[[capability]]\nname = "a"\nmemory = "64 potatoes"\n',
            "name": '[[capability]]\nname = "Not A Name"\n',
            "dataset": '[[capability]]\nname = "a"\ndatasets = ["nope"]\n',
            "path": '[[dataset]]\nname = "a"\npath = "/no/such/folder"\n',
            "tcp": '[tcp]\nlisten = "0.0.0.0:1"\n',
        }
        for name, text in cases.items():
            file = self.folder / f"{name}.toml"
            file.write_text(text)
            done = nmp("config", "check", "--config", file, "--state", self.folder / "s")
            self.assertEqual(done.returncode, 2, f"{name}: {done.stdout}{done.stderr}")
            self.assertIn(f"{name}.toml", done.stdout + done.stderr, name)
            done = nmp("node", "--config", file, "--state", self.folder / "s")
            self.assertEqual(done.returncode, 2, name)

    def test_port_in_use_is_said(self):
        taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(taken.close)
        taken.bind(("127.0.0.1", 0))
        done = nmp("node", "--listen", f"/ip4/127.0.0.1/udp/{taken.getsockname()[1]}/quic-v1", "--state", self.folder / "s")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("in use", done.stderr.lower())

    def test_nobody_there_is_four(self):
        key = json.loads(nmp("key", "new", "--json", "--state", self.folder / "k").stdout)
        address = f"/ip4/127.0.0.1/udp/9/quic-v1/p2p/{key['peer_id']}"
        done = nmp("run", "log-scan", FILTERS / "log_scan.wasm", "--node", address, "--timeout", "2s", "--state", self.folder / "s")
        self.assertEqual(done.returncode, 4, done.stderr)
        done = nmp("find", "log-scan", "--bootstrap", address, "--timeout", "2s", "--state", self.folder / "s")
        self.assertEqual(done.returncode, 4, done.stderr)

    def test_keys_are_private_and_kept(self):
        state = self.folder / "key"
        made = json.loads(nmp("key", "new", "--json", "--state", state).stdout)
        shown = json.loads(nmp("key", "show", "--json", "--state", state).stdout)
        self.assertEqual(made["peer_id"], shown["peer_id"])
        self.assertTrue(shown["did"].startswith("did:key:z6Mk"))
        file = state / "identity.key"
        self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600)
        os.chmod(file, 0o644)
        done = nmp("key", "show", "--state", state)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("chmod 600", done.stderr)

    def test_a_full_disk_is_a_reason_and_not_an_end(self):
        if os.geteuid() != 0:
            self.skipTest("mounting a small file system needs root")
        small = self.folder / "small"
        small.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)], capture_output=True).returncode != 0:
            self.skipTest("no mounts here")
        self.addCleanup(subprocess.run, ["umount", "-l", str(small)])
        data = self.dataset()
        node = self.node("full", self.capability(data), state=small / "state")
        filler = open(small / "filler", "wb", buffering=0)
        try:
            while filler.write(b"x" * 1024):
                pass
        except OSError:
            pass
        code, lines, errors = self.agent("run", "log-scan", FILTERS / "log_scan.wasm", "--node", node.address)
        self.assertIn(code, (0, 1, 3), errors)
        if code != 0:
            self.assertEqual(lines[-1]["reason"], "storage_failed")
        filler.close()
        os.unlink(small / "filler")
        self.run_ok("log-scan", FILTERS / "log_scan.wasm", "--node", node.address, "--input", "args=--level\nERROR")


if __name__ == "__main__":
    unittest.main()
