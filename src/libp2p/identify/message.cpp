#include "libp2p/identify/message.hpp"

#include "base/codec.hpp"

namespace nmp::libp2p::identify {
namespace {

/// Field numbers of identify.proto.
enum : std::uint32_t {
  kPublicKey = 1,
  kListenAddresses = 2,
  kProtocols = 3,
  kObservedAddress = 4,
  kProtocolVersion = 5,
  kAgentVersion = 6,
  kSignedPeerRecord = 8,
};

std::size_t field_size(std::size_t value_size) {
  std::size_t length_size = 1;
  for (auto rest = value_size; rest >= 0x80; rest >>= 7) ++length_size;
  return 1 + length_size + value_size;
}

std::size_t optional_size(std::size_t value_size) { return value_size == 0 ? 0 : field_size(value_size); }

/// How many values from the front fit into `room`, which shrinks by what they take.
template <class List, class SizeOf>
std::size_t fitting(const List& list, SizeOf size_of, std::size_t& room) {
  std::size_t count = 0;
  for (const auto& value : list) {
    auto size = field_size(size_of(value));
    if (size > room) break;
    room -= size;
    ++count;
  }
  return count;
}

std::string cut(ByteView text) { return string_of(text.first(std::min(text.size(), kVersionBytesMax))); }

void add(Message&& from, Message& to) {
  auto take_bytes = [](Bytes& source, Bytes& target) {
    if (!source.empty()) target = std::move(source);
  };
  take_bytes(from.public_key, to.public_key);
  take_bytes(from.signed_peer_record, to.signed_peer_record);
  for (auto& address : from.listen_addresses)
    if (to.listen_addresses.size() < kAddressesMax) to.listen_addresses.push_back(std::move(address));
  for (auto& protocol : from.protocols)
    if (to.protocols.size() < kProtocolsMax) to.protocols.push_back(std::move(protocol));
  if (from.observed_address) to.observed_address = std::move(from.observed_address);
  if (!from.protocol_version.empty()) to.protocol_version = std::move(from.protocol_version);
  if (!from.agent_version.empty()) to.agent_version = std::move(from.agent_version);
}

}  // namespace

Result<Bytes> encode(const Message& message) {
  auto fixed = optional_size(message.public_key.size()) + optional_size(message.protocol_version.size()) +
               optional_size(message.agent_version.size()) +
               (message.observed_address ? field_size(message.observed_address->bytes().size()) : 0);
  auto record = optional_size(message.signed_peer_record.size());
  if (fixed > kMessageBytesMaxSent) return fail(nmp::Errc::too_large, "identify: key and versions");
  if (record > kMessageBytesMaxSent) return fail(nmp::Errc::too_large, "identify: signed peer record");

  auto room = kMessageBytesMaxSent - fixed;
  auto protocols = fitting(message.protocols, [](const auto& text) { return text.size(); }, room);
  auto addresses = fitting(message.listen_addresses, [](const auto& a) { return a.bytes().size(); }, room);
  auto size = kMessageBytesMaxSent - room;
  bool apart = size + record > kRecordApartAbove;

  ProtobufWriter first;
  if (!message.public_key.empty()) first.bytes(kPublicKey, message.public_key);
  for (std::size_t i = 0; i < addresses; ++i) first.bytes(kListenAddresses, message.listen_addresses[i].bytes());
  for (std::size_t i = 0; i < protocols; ++i) first.text(kProtocols, message.protocols[i]);
  if (message.observed_address) first.bytes(kObservedAddress, message.observed_address->bytes());
  if (!message.protocol_version.empty()) first.text(kProtocolVersion, message.protocol_version);
  if (!message.agent_version.empty()) first.text(kAgentVersion, message.agent_version);
  if (record != 0 && !apart) first.bytes(kSignedPeerRecord, message.signed_peer_record);

  Writer out;
  out.length_prefixed(first.view());
  if (record != 0 && apart) {
    ProtobufWriter second;
    second.bytes(kSignedPeerRecord, message.signed_peer_record);
    out.length_prefixed(second.view());
  }
  return out.take();
}

Result<void> merge(ByteView bytes, Message& message) {
  Message read;
  ProtobufReader reader(bytes);
  while (true) {
    NMP_TRY(auto field, reader.next());
    if (!field) break;
    if (field->number > kSignedPeerRecord || field->number == 7) continue;
    if (field->wire_type != 2) return fail(nmp::Errc::malformed, "identify: wire type");
    auto value = field->bytes;
    switch (field->number) {
      case kPublicKey: read.public_key = to_bytes(value); break;
      case kListenAddresses:
        if (read.listen_addresses.size() < kAddressesMax)
          if (auto address = Multiaddr::decode(value)) read.listen_addresses.push_back(*std::move(address));
        break;
      case kProtocols:
        if (read.protocols.size() < kProtocolsMax && !value.empty() && value.size() <= kProtocolBytesMax)
          read.protocols.push_back(string_of(value));
        break;
      case kObservedAddress:
        if (auto address = Multiaddr::decode(value)) read.observed_address = *std::move(address);
        break;
      case kProtocolVersion: read.protocol_version = cut(value); break;
      case kAgentVersion: read.agent_version = cut(value); break;
      case kSignedPeerRecord: read.signed_peer_record = to_bytes(value); break;
      default: break;
    }
  }
  add(std::move(read), message);
  return {};
}

Result<void> Decoder::feed(ByteView input) {
  append(held_, input);
  Reader reader(held_);
  while (!reader.empty()) {
    Reader probe = reader;
    auto size = probe.uvarint();
    if (!size) {
      if (size.error().code == nmp::Errc::truncated) break;
      return fail(size.error());
    }
    if (*size > kMessageBytesMax) return fail(nmp::Errc::too_large, "identify: message");
    if (messages_ == kMessagesMax) return fail(nmp::Errc::too_large, "identify: number of messages");
    if (probe.size() < *size) break;
    NMP_TRY(auto body, probe.take(*size));
    NMP_CHECK(merge(body, message_));
    ++messages_;
    reader = probe;
  }
  held_ = to_bytes(reader.rest());
  return {};
}

Result<Message> Decoder::finish() {
  if (!held_.empty()) return fail(nmp::Errc::truncated, "identify: message");
  if (messages_ == 0) return fail(nmp::Errc::malformed, "identify: no message");
  return std::move(message_);
}

}  // namespace nmp::libp2p::identify
