// fuzz: USES libp2p_kad
#include <cstdlib>

#include "libp2p/kad/snapshot.hpp"

using namespace nmp;
using namespace nmp::libp2p;

/// Input: a snapshot file. What decodes is within its ceilings, and encodes to something that decodes to the same
/// bytes.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto snapshot = kad::decode_snapshot(view_of(data, size));
  if (!snapshot) return 0;
  if (snapshot->peers.size() > kad::kSnapshotPeersMax || snapshot->providers.size() > kad::kProvidersMax) std::abort();
  for (const auto& record : snapshot->providers)
    if (record.key.empty() || record.key.size() > kad::kProviderKeyBytesMax || record.expires < 0) std::abort();
  auto bytes = kad::encode(*snapshot);
  auto again = kad::decode_snapshot(bytes);
  if (!again || kad::encode(*again) != bytes) std::abort();
  return 0;
}
