#include "libp2p/peer/envelope.hpp"

#include "base/codec.hpp"
#include "libp2p/peer/errors.hpp"
#include "libp2p/peer/limits.hpp"

namespace nmp::libp2p {
namespace {

constexpr std::string_view kRecordDomain = "libp2p-peer-record";
constexpr ByteArray<2> kRecordType = {std::byte{0x03}, std::byte{0x01}};
/// RFC 0003's text, which rust-libp2p's older releases follow.
constexpr std::string_view kLegacyRecordDomain = "libp2p-routing-state";
constexpr std::string_view kLegacyRecordType = "/libp2p/routing-state-record";

/// Calls `on_field` for every field. Errors: malformed, and what `on_field` returns.
template <class OnField>
Result<void> each_field(ByteView message, OnField on_field) {
  ProtobufReader reader(message);
  while (true) {
    auto field = reader.next();
    if (!field) return fail(PeerErrc::malformed, "protobuf");
    if (!*field) return {};
    NMP_CHECK(on_field(**field));
  }
}

}  // namespace

Result<SignedEnvelope> SignedEnvelope::decode(ByteView bytes) {
  if (bytes.size() > kEnvelopeBytesMax) return fail(PeerErrc::too_large, "envelope");
  std::optional<ByteView> key;
  std::optional<ByteView> type;
  std::optional<ByteView> payload;
  std::optional<ByteView> signature;
  NMP_CHECK(each_field(bytes, [&](const ProtobufField& field) -> Result<void> {
    auto* target = field.number == 1   ? &key
                   : field.number == 2 ? &type
                   : field.number == 3 ? &payload
                   : field.number == 5 ? &signature
                                       : nullptr;
    if (target == nullptr) return {};
    if (field.wire_type != 2) return fail(PeerErrc::malformed, "envelope field");
    *target = field.bytes;
    return {};
  }));
  if (!key || !type || !payload || !signature) return fail(PeerErrc::malformed, "envelope lacks a field");
  NMP_TRY(auto signer, PublicKey::decode(*key));
  return SignedEnvelope{.signer = std::move(signer),
                        .payload_type = to_bytes(*type),
                        .payload = to_bytes(*payload),
                        .signature = to_bytes(*signature)};
}

Bytes SignedEnvelope::encode() const {
  return ProtobufWriter().bytes(1, signer.bytes()).bytes(2, payload_type).bytes(3, payload).bytes(5, signature).take();
}

bool SignedEnvelope::verify(std::string_view domain) const {
  return signer.verify(envelope_signing_buffer(domain, payload_type, payload), signature);
}

Bytes envelope_signing_buffer(std::string_view domain, ByteView payload_type, ByteView payload) {
  return Writer().length_prefixed(bytes_of(domain)).length_prefixed(payload_type).length_prefixed(payload).take();
}

SignedEnvelope seal_envelope(const KeyPair& signer, std::string_view domain, ByteView payload_type, ByteView payload) {
  auto signature = signer.sign(envelope_signing_buffer(domain, payload_type, payload));
  return {.signer = signer.public_key(),
          .payload_type = to_bytes(payload_type),
          .payload = to_bytes(payload),
          .signature = to_bytes(ByteView(signature))};
}

Bytes PeerRecord::encode() const {
  ProtobufWriter writer;
  writer.bytes(1, id.bytes()).varint(2, seq);
  for (const auto& address : addresses) writer.bytes(3, ProtobufWriter().bytes(1, address.bytes()).view());
  return writer.take();
}

Result<PeerRecord> PeerRecord::decode(ByteView bytes) {
  if (bytes.size() > kEnvelopeBytesMax) return fail(PeerErrc::too_large, "peer record");
  std::optional<PeerId> id;
  std::uint64_t seq = 0;
  std::vector<Multiaddr> addresses;
  std::size_t seen = 0;
  NMP_CHECK(each_field(bytes, [&](const ProtobufField& field) -> Result<void> {
    if (field.number == 1 && field.wire_type == 2) {
      NMP_TRY(id, PeerId::from_bytes(field.bytes));
    } else if (field.number == 2 && field.wire_type == 0) {
      seq = field.value;
    } else if (field.number == 3 && field.wire_type == 2) {
      if (++seen > kRecordAddressesMax) return fail(PeerErrc::too_large, "addresses of a peer record");
      return each_field(field.bytes, [&](const ProtobufField& info) -> Result<void> {
        if (info.number != 1 || info.wire_type != 2) return {};
        if (auto address = Multiaddr::decode(info.bytes)) addresses.push_back(*std::move(address));
        return {};
      });
    } else if (field.number <= 3) {
      return fail(PeerErrc::malformed, "peer record field");
    }
    return {};
  }));
  if (!id) return fail(PeerErrc::malformed, "peer record without a peer ID");
  return PeerRecord{.id = *id, .seq = seq, .addresses = std::move(addresses)};
}

Bytes seal_peer_record(const KeyPair& signer, const PeerRecord& record) {
  NMP_ASSERT(record.id == PeerId::of(signer.public_key()));
  return seal_envelope(signer, kRecordDomain, kRecordType, record.encode()).encode();
}

Result<PeerRecord> open_peer_record(ByteView bytes) {
  NMP_TRY(auto envelope, SignedEnvelope::decode(bytes));
  std::string_view domain;
  if (equal(envelope.payload_type, kRecordType)) {
    domain = kRecordDomain;
  } else if (text_of(envelope.payload_type) == kLegacyRecordType) {
    domain = kLegacyRecordDomain;
  } else {
    return fail(PeerErrc::wrong_signer, "payload type is not a peer record");
  }
  if (!envelope.verify(domain)) return fail(PeerErrc::invalid_signature, "peer record");
  NMP_TRY(auto record, PeerRecord::decode(envelope.payload));
  if (record.id != PeerId::of(envelope.signer)) return fail(PeerErrc::wrong_signer, "peer record of another peer");
  return record;
}

}  // namespace nmp::libp2p
