"""A filter reaches its data by the DHT alone, in a mesh of sixty processes, with the bootstrap killed after the join."""
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
        provider = self.node("provider", self.capability(self.dataset()), bootstrap=[members[-1].address])
        entry = members[1]
        bootstrap.kill()
        code, lines, errors = self.agent("find", "log-scan", "--bootstrap", entry.address, "--timeout", "60s")
        self.assertEqual(code, 0, errors)
        self.assertEqual({line["peer_id"] for line in lines if line["event"] == "provider"}, {provider.peer_id})
        lookup = next(line for line in lines if line["event"] == "lookup")
        self.assertGreaterEqual(lookup["hops"], 2, lookup)
        lines = self.run_ok("log-scan", FILTERS / "log_scan.wasm", "--bootstrap", entry.address, "--timeout", "60s",
                            "--input", "args=--level\nERROR")
        self.assertEqual(lines[-1]["peer_id"], provider.peer_id)


if __name__ == "__main__":
    unittest.main()
