#include "libp2p/kad/message.hpp"

#include <algorithm>

#include "base/codec.hpp"

namespace nmp::libp2p::kad {
namespace {

/// Field numbers of dht.proto.
enum : std::uint32_t { kType = 1, kMessageKey = 2, kRecord = 3, kCloserPeers = 8, kProviderPeers = 9 };
enum : std::uint32_t { kRecordKey = 1, kRecordValue = 2, kRecordTimeReceived = 5 };
enum : std::uint32_t { kPeerId = 1, kPeerAddresses = 2 };

Result<void> want_bytes(const ProtobufField& field) {
  if (field.wire_type != 2) return fail(Errc::malformed, "kad: wire type");
  return {};
}

}  // namespace

Bytes encode_peer(const PeerInfo& peer) {
  ProtobufWriter out;
  out.bytes(kPeerId, peer.id.bytes());
  for (std::size_t i = 0; i < std::min(peer.addresses.size(), kAddressesPeerMax); ++i)
    out.bytes(kPeerAddresses, peer.addresses[i].bytes());
  return out.take();
}

Result<std::optional<PeerInfo>> decode_peer(ByteView bytes) {
  std::optional<PeerId> id;
  std::vector<Multiaddr> addresses;
  ProtobufReader reader(bytes);
  while (true) {
    NMP_TRY(auto field, reader.next());
    if (!field) break;
    if (field->number == kPeerId) {
      NMP_CHECK(want_bytes(*field));
      auto parsed = PeerId::from_bytes(field->bytes);
      if (!parsed) return std::nullopt;
      id = *parsed;
    } else if (field->number == kPeerAddresses) {
      NMP_CHECK(want_bytes(*field));
      if (addresses.size() == kAddressesPeerMax) continue;
      if (auto address = Multiaddr::decode(field->bytes)) addresses.push_back(*std::move(address));
    }
  }
  if (!id) return std::nullopt;
  return std::optional(PeerInfo{*id, std::move(addresses)});
}

namespace {

/// The tag, the length in at most two bytes, the body.
std::size_t peer_field_size(const Bytes& body) { return 3 + body.size(); }

std::vector<Bytes> encode_peers(const std::vector<PeerInfo>& peers) {
  std::vector<Bytes> bodies;
  bodies.reserve(peers.size());
  for (const auto& peer : peers) bodies.push_back(encode_peer(peer));
  return bodies;
}

/// How many bodies from `begin` on fit; `room` shrinks by them.
std::size_t take_fitting(const std::vector<Bytes>& bodies, std::size_t begin, std::size_t& room) {
  auto end = begin;
  while (end < bodies.size() && peer_field_size(bodies[end]) <= room) room -= peer_field_size(bodies[end++]);
  return end;
}

Result<Record> decode_record(ByteView bytes) {
  Record record;
  ProtobufReader reader(bytes);
  while (true) {
    NMP_TRY(auto field, reader.next());
    if (!field) return record;
    if (field->number == kRecordKey) {
      NMP_CHECK(want_bytes(*field));
      if (field->bytes.size() > kKeyBytesMax) return fail(Errc::too_large, "kad: record key");
      record.key = to_bytes(field->bytes);
    } else if (field->number == kRecordValue) {
      NMP_CHECK(want_bytes(*field));
      record.value = to_bytes(field->bytes);
    } else if (field->number == kRecordTimeReceived) {
      NMP_CHECK(want_bytes(*field));
      if (field->bytes.size() <= kTimeReceivedBytesMax) record.time_received = string_of(field->bytes);
    }
  }
}

Result<void> read_peer(const ProtobufField& field, std::vector<PeerInfo>& peers) {
  NMP_CHECK(want_bytes(field));
  if (peers.size() == kPeersPerListMax) return {};
  NMP_TRY(auto peer, decode_peer(field.bytes));
  if (peer) peers.push_back(*std::move(peer));
  return {};
}

}  // namespace

Result<Bytes> encode(const Message& message) {
  ProtobufWriter out;
  out.varint(kType, static_cast<std::uint64_t>(message.type));
  if (!message.key.empty()) out.bytes(kMessageKey, message.key);
  if (message.record) {
    ProtobufWriter record;
    record.bytes(kRecordKey, message.record->key).bytes(kRecordValue, message.record->value);
    if (!message.record->time_received.empty()) record.text(kRecordTimeReceived, message.record->time_received);
    out.bytes(kRecord, record.view());
  }
  if (out.size() > kMessageBytesMaxSent) return fail(Errc::too_large, "kad: key and record");

  auto closer = encode_peers(message.closer_peers);
  auto providers = encode_peers(message.provider_peers);
  auto room = kMessageBytesMaxSent - out.size();
  auto reserved = std::min(room, kCloserPeersReserve);
  room -= reserved;
  auto closer_count = take_fitting(closer, 0, reserved);
  room += reserved;
  auto provider_count = take_fitting(providers, 0, room);
  closer_count = take_fitting(closer, closer_count, room);

  for (std::size_t i = 0; i < closer_count; ++i) out.bytes(kCloserPeers, closer[i]);
  for (std::size_t i = 0; i < provider_count; ++i) out.bytes(kProviderPeers, providers[i]);
  return out.take();
}

Result<Bytes> encode_delimited(const Message& message) {
  NMP_TRY(auto body, encode(message));
  Writer out;
  out.length_prefixed(body);
  return out.take();
}

Result<Message> decode(ByteView bytes, std::size_t message_bytes_max) {
  if (bytes.size() > message_bytes_max) return fail(Errc::too_large, "kad: message");
  Message message;
  message.type = MessageType::put_value;  // 0, which proto3 leaves out
  ProtobufReader reader(bytes);
  while (true) {
    NMP_TRY(auto field, reader.next());
    if (!field) return message;
    switch (field->number) {
      case kType:
        if (field->wire_type != 0) return fail(Errc::malformed, "kad: wire type");
        if (field->value > static_cast<std::uint64_t>(MessageType::ping)) return fail(Errc::unsupported, "kad: type");
        message.type = static_cast<MessageType>(field->value);
        break;
      case kMessageKey:
        NMP_CHECK(want_bytes(*field));
        if (field->bytes.size() > kKeyBytesMax) return fail(Errc::too_large, "kad: key");
        message.key = to_bytes(field->bytes);
        break;
      case kRecord: {
        NMP_CHECK(want_bytes(*field));
        NMP_TRY(message.record, decode_record(field->bytes));
        break;
      }
      case kCloserPeers: NMP_CHECK(read_peer(*field, message.closer_peers)); break;
      case kProviderPeers: NMP_CHECK(read_peer(*field, message.provider_peers)); break;
      default: break;
    }
  }
}

Result<std::optional<Bytes>> Splitter::next() {
  Reader reader(held_);
  auto size = reader.uvarint();
  if (!size) {
    if (size.error().code == Errc::truncated) return std::nullopt;
    return fail(size.error());
  }
  if (*size > message_bytes_max_) return fail(Errc::too_large, "kad: message");
  if (reader.size() < *size) return std::nullopt;
  NMP_TRY(auto body, reader.take(*size));
  auto message = to_bytes(body);
  held_.erase(held_.begin(), held_.end() - static_cast<std::ptrdiff_t>(reader.size()));
  return std::optional(std::move(message));
}

}  // namespace nmp::libp2p::kad
