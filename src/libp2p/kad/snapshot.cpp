#include "libp2p/kad/snapshot.hpp"

#include <algorithm>
#include <limits>
#include <optional>

#include "base/codec.hpp"

namespace nmp::libp2p::kad {
namespace {

constexpr std::uint64_t kVersion = 1;
enum : std::uint32_t { kVersionField = 1, kSaved = 2, kPeer = 3, kProvider = 4 };
enum : std::uint32_t { kProviderKey = 1, kProviderExpires = 2, kProviderPeer = 3 };
/// A field's tag and length.
constexpr std::size_t kFrameBytesMax = 8;

Result<void> want(const ProtobufField& field, std::uint8_t wire_type) {
  if (field.wire_type != wire_type) return fail(Errc::malformed, "kad snapshot: wire type");
  return {};
}

UnixSeconds seconds_of(std::uint64_t value) {
  return static_cast<UnixSeconds>(std::min<std::uint64_t>(value, std::numeric_limits<UnixSeconds>::max()));
}

Result<std::optional<Snapshot::Provider>> decode_provider(ByteView bytes) {
  Bytes key;
  UnixSeconds expires = 0;
  std::optional<PeerInfo> peer;
  ProtobufReader reader(bytes);
  while (true) {
    NMP_TRY(auto field, reader.next());
    if (!field) break;
    if (field->number == kProviderKey) {
      NMP_CHECK(want(*field, 2));
      if (field->bytes.size() > kProviderKeyBytesMax) return fail(Errc::too_large, "kad snapshot: key");
      key = to_bytes(field->bytes);
    } else if (field->number == kProviderExpires) {
      NMP_CHECK(want(*field, 0));
      expires = seconds_of(field->value);
    } else if (field->number == kProviderPeer) {
      NMP_CHECK(want(*field, 2));
      NMP_TRY(peer, decode_peer(field->bytes));
    }
  }
  if (key.empty() || !peer) return std::nullopt;
  return Snapshot::Provider{std::move(key), *std::move(peer), expires};
}

}  // namespace

Bytes encode(const Snapshot& snapshot) {
  ProtobufWriter out;
  out.varint(kVersionField, kVersion).varint(kSaved, static_cast<std::uint64_t>(snapshot.saved));
  for (std::size_t i = 0; i < std::min(snapshot.peers.size(), kSnapshotPeersMax); ++i)
    out.bytes(kPeer, encode_peer(snapshot.peers[i]));
  for (std::size_t i = 0; i < std::min(snapshot.providers.size(), kProvidersMax); ++i) {
    const auto& record = snapshot.providers[i];
    ProtobufWriter inner;
    inner.bytes(kProviderKey, record.key)
        .varint(kProviderExpires, static_cast<std::uint64_t>(record.expires))
        .bytes(kProviderPeer, encode_peer(record.provider));
    if (out.size() + inner.size() + kFrameBytesMax > kSnapshotBytesMax) break;
    out.bytes(kProvider, inner.view());
  }
  return out.take();
}

Result<Snapshot> decode_snapshot(ByteView bytes) {
  if (bytes.size() > kSnapshotBytesMax) return fail(Errc::too_large, "kad snapshot");
  Snapshot snapshot;
  std::uint64_t version = 0;
  ProtobufReader reader(bytes);
  while (true) {
    NMP_TRY(auto field, reader.next());
    if (!field) break;
    if (field->number == kVersionField) {
      NMP_CHECK(want(*field, 0));
      version = field->value;
    } else if (field->number == kSaved) {
      NMP_CHECK(want(*field, 0));
      snapshot.saved = seconds_of(field->value);
    } else if (field->number == kPeer && snapshot.peers.size() < kSnapshotPeersMax) {
      NMP_CHECK(want(*field, 2));
      NMP_TRY(auto peer, decode_peer(field->bytes));
      if (peer) snapshot.peers.push_back(*std::move(peer));
    } else if (field->number == kProvider && snapshot.providers.size() < kProvidersMax) {
      NMP_CHECK(want(*field, 2));
      NMP_TRY(auto provider, decode_provider(field->bytes));
      if (provider) snapshot.providers.push_back(*std::move(provider));
    }
  }
  if (version != kVersion) return fail(Errc::unsupported, "kad snapshot: version");
  return snapshot;
}

}  // namespace nmp::libp2p::kad
