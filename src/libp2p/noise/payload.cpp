#include "libp2p/noise/payload.hpp"

#include "base/codec.hpp"
#include "libp2p/noise/limits.hpp"

namespace nmp::libp2p::noise {
namespace {

/// Field numbers of NoiseHandshakePayload and NoiseExtensions.
enum : std::uint32_t { kIdentityKey = 1, kIdentitySig = 2, kExtensions = 4 };
constexpr std::uint32_t kStreamMuxers = 2;

/// Calls `on_field` for every field. Errors: bad_payload.
template <class OnField>
Result<void> each_field(ByteView message, OnField on_field) {
  ProtobufReader reader(message);
  while (true) {
    auto field = reader.next();
    if (!field) return fail(Errc::bad_payload, "protobuf");
    if (!*field) return {};
    NMP_CHECK(on_field(**field));
  }
}

/// Extensions that stand in several pieces add up, as protobuf has it.
Result<void> read_extensions(ByteView bytes, std::vector<std::string>& muxers) {
  return each_field(bytes, [&](const ProtobufField& field) -> Result<void> {
    if (field.number != kStreamMuxers) return {};
    if (field.wire_type != 2) return fail(Errc::bad_payload, "stream_muxers");
    if (muxers.size() == kMuxersMax) return fail(Errc::bad_payload, "too many muxers");
    muxers.push_back(string_of(field.bytes));
    return {};
  });
}

}  // namespace

Bytes HandshakePayload::encode() const {
  ProtobufWriter out;
  out.bytes(kIdentityKey, identity_key).bytes(kIdentitySig, identity_sig);
  if (!stream_muxers.empty()) {
    ProtobufWriter extensions;
    for (const auto& muxer : stream_muxers) extensions.text(kStreamMuxers, muxer);
    out.bytes(kExtensions, extensions.view());
  }
  return out.take();
}

Result<HandshakePayload> HandshakePayload::decode(ByteView bytes) {
  if (bytes.size() > kHandshakeMessageBytesMax) return fail(Errc::bad_payload, "too large");
  HandshakePayload out;
  NMP_CHECK(each_field(bytes, [&](const ProtobufField& field) -> Result<void> {
    if (field.number != kIdentityKey && field.number != kIdentitySig && field.number != kExtensions) return {};
    if (field.wire_type != 2) return fail(Errc::bad_payload, "wire type");
    if (field.number == kIdentityKey) out.identity_key = to_bytes(field.bytes);
    if (field.number == kIdentitySig) out.identity_sig = to_bytes(field.bytes);
    if (field.number == kExtensions) return read_extensions(field.bytes, out.stream_muxers);
    return {};
  }));
  if (out.identity_key.empty() || out.identity_sig.empty()) return fail(Errc::bad_payload, "lacks a field");
  return out;
}

Bytes static_key_message(const crypto::X25519PublicKey& static_key) {
  return concat({bytes_of("noise-libp2p-static-key:"), static_key});
}

Result<PublicKey> verify_identity(const HandshakePayload& payload, const crypto::X25519PublicKey& static_key) {
  auto key = PublicKey::decode(payload.identity_key);
  if (!key) return fail(Errc::bad_identity, key.error().message());
  if (!key->verify(static_key_message(static_key), payload.identity_sig)) return fail(Errc::bad_identity, "signature");
  return *std::move(key);
}

Result<std::optional<std::string>> choose_muxer(const std::vector<std::string>& initiator,
                                                const std::vector<std::string>& responder) {
  if (initiator.empty() || responder.empty()) return std::nullopt;
  auto chosen = std::ranges::find_first_of(initiator, responder);
  if (chosen == initiator.end()) return fail(Errc::no_common_muxer);
  return *chosen;
}

}  // namespace nmp::libp2p::noise
