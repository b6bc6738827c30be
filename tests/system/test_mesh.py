"""A filter reaches its data by the DHT alone, in a mesh of sixty processes, with the bootstrap killed after the join."""
import signal
import time
import unittest

from mesh import FILTERS, MeshTest, Node

MESH = 60


class Mesh(MeshTest):
    def test_sixty_nodes_two_hops_no_bootstrap(self):
        bootstrap = self.node("bootstrap")
        # Later nodes join through random earlier ones, so that no table holds all of the mesh.
        members = [bootstrap]
        for i in range(MESH - 2):
            via = members[(i * 7) % len(members)]
            members.append(self.node(f"n{i}", bootstrap=[via.address]))
        # The bootstrap is dead before the provider is born, so the provider is in no table of its.
        bootstrap.kill()
        provider = self.node("provider", self.capability(self.dataset()), bootstrap=[members[-1].address])
        hops = 0
        for entry in members[1:16]:
            code, lines, errors = self.agent("find", "log-scan", "--bootstrap", entry.address, "--timeout", "60s")
            self.assertEqual(code, 0, errors)
            self.assertEqual({line["peer_id"] for line in lines if line["event"] == "provider"}, {provider.peer_id})
            # A third of sixty nodes hold the record themselves (k = 20): through the others it takes two hops or more.
            hops = max(hops, next(line for line in lines if line["event"] == "lookup")["hops"])
            if hops >= 2:
                break
        self.assertGreaterEqual(hops, 2)
        lines = self.run_ok("log-scan", FILTERS / "log_scan.wasm", "--bootstrap", entry.address, "--timeout", "60s",
                            "--input", "args=--level\nERROR")
        self.assertEqual(lines[-1]["peer_id"], provider.peer_id)

    def test_a_restarted_node_remembers_who_provides(self):
        holder = self.node("holder")
        provider = self.node("provider", self.capability(self.dataset()), bootstrap=[holder.address])

        def found():
            code, lines, errors = self.agent("find", "log-scan", "--bootstrap", holder.address, "--timeout", "10s")
            return {line["peer_id"] for line in lines if line["event"] == "provider"} if code == 0 else set()

        deadline = time.monotonic() + 60
        while found() != {provider.peer_id}:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.5)
        # The provider is gone, so that what is found afterwards comes from what the holder wrote down.
        provider.kill()
        holder.process.send_signal(signal.SIGTERM)
        holder.process.wait(15)
        holder.process.stdout.close()
        holder.start()
        self.assertEqual(found(), {provider.peer_id})


if __name__ == "__main__":
    unittest.main()
