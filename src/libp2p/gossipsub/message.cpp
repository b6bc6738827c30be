#include "libp2p/gossipsub/message.hpp"

#include "base/codec.hpp"

namespace nmp::libp2p::gossipsub {

namespace {

constexpr std::string_view kSigningPrefix = "libp2p-pubsub:";

/// Field numbers of rpc.proto.
enum : std::uint32_t { kSubscriptions = 1, kPublish = 2, kControl = 3 };
enum : std::uint32_t { kSubscribe = 1, kTopicId = 2 };
enum : std::uint32_t { kFrom = 1, kData = 2, kSeqno = 3, kTopic = 4, kSignature = 5, kKey = 6 };
enum : std::uint32_t { kIhave = 1, kIwant = 2, kGraft = 3, kPrune = 4, kIdontwant = 5 };
enum : std::uint32_t { kControlTopic = 1, kIhaveIds = 2, kIds = 1, kPruneBackoff = 3 };

void write_signed_part(ProtobufWriter& out, const Message& message) {
  if (message.from) out.bytes(kFrom, *message.from);
  if (message.data) out.bytes(kData, *message.data);
  if (message.seqno) out.bytes(kSeqno, *message.seqno);
  out.text(kTopic, message.topic);
}

Bytes encode_message(const Message& message) {
  ProtobufWriter out;
  write_signed_part(out, message);
  if (message.signature) out.bytes(kSignature, *message.signature);
  if (message.key) out.bytes(kKey, *message.key);
  return out.take();
}

Bytes encode_ids(std::uint32_t field, const std::vector<MessageId>& ids) {
  ProtobufWriter out;
  for (const auto& id : ids) out.bytes(field, id);
  return out.take();
}

Bytes encode_control(const Rpc& rpc) {
  ProtobufWriter out;
  for (const auto& ihave : rpc.ihave) {
    ProtobufWriter one;
    one.text(kControlTopic, ihave.topic);
    for (const auto& id : ihave.ids) one.bytes(kIhaveIds, id);
    out.bytes(kIhave, one.view());
  }
  for (const auto& ids : rpc.iwant) out.bytes(kIwant, encode_ids(kIds, ids));
  for (const auto& topic : rpc.graft) out.bytes(kGraft, ProtobufWriter().text(kControlTopic, topic).view());
  for (const auto& prune : rpc.prune) {
    ProtobufWriter one;
    one.text(kControlTopic, prune.topic);
    if (prune.backoff_seconds) one.varint(kPruneBackoff, *prune.backoff_seconds);
    out.bytes(kPrune, one.view());
  }
  for (const auto& ids : rpc.idontwant) out.bytes(kIdontwant, encode_ids(kIds, ids));
  return out.take();
}

/// Counts what an RPC holds while it is read.
struct Budget {
  std::size_t subscriptions = kSubscriptionsPerRpcMax;
  std::size_t messages = kMessagesPerRpcMax;
  std::size_t controls = kControlsPerRpcMax;
  std::size_t ids = kIdsPerRpcMax;

  static Result<void> spend(std::size_t& left) {
    if (left == 0) return fail(Errc::too_large, "gossipsub: too many entries");
    --left;
    return {};
  }
};

/// Calls `take(field)` for each field.
template <class Take>
Result<void> each_field(ByteView bytes, Take take) {
  ProtobufReader reader(bytes);
  for (;;) {
    NMP_TRY(auto field, reader.next());
    if (!field) return {};
    NMP_CHECK(take(*field));
  }
}

Result<ByteView> bytes_in(const ProtobufField& field, std::size_t most) {
  if (field.wire_type != 2) return fail(Errc::malformed, "gossipsub: wire type");
  if (field.bytes.size() > most) return fail(Errc::too_large, "gossipsub: field");
  return field.bytes;
}

Result<std::uint64_t> number_in(const ProtobufField& field) {
  if (field.wire_type != 0) return fail(Errc::malformed, "gossipsub: wire type");
  return field.value;
}

Result<std::string> topic_in(const ProtobufField& field) {
  NMP_TRY(auto name, bytes_in(field, kTopicBytesMax));
  return string_of(name);
}

Result<Message> decode_message(ByteView bytes) {
  Message message;
  const auto optional = [](const ProtobufField& field, std::optional<Bytes>& to, std::size_t most) -> Result<void> {
    NMP_TRY(auto value, bytes_in(field, most));
    to = to_bytes(value);
    return {};
  };
  NMP_CHECK(each_field(bytes, [&](const ProtobufField& field) -> Result<void> {
    switch (field.number) {
      case kFrom: return optional(field, message.from, kMessageIdBytesMax - kSeqnoBytes);
      case kData: return optional(field, message.data, kDataBytesMax);
      case kSeqno: return optional(field, message.seqno, kSeqnoBytes);
      case kTopic: {
        NMP_TRY(message.topic, topic_in(field));
        return {};
      }
      case kSignature: return optional(field, message.signature, kSignatureBytesMax);
      case kKey: return optional(field, message.key, kPublicKeyBytesMax);
      default: return {};
    }
  }));
  return message;
}

Result<Subscription> decode_subscription(ByteView bytes) {
  Subscription one;
  NMP_CHECK(each_field(bytes, [&](const ProtobufField& field) -> Result<void> {
    if (field.number == kSubscribe) {
      NMP_TRY(const auto value, number_in(field));
      one.subscribe = value != 0;
    } else if (field.number == kTopicId) {
      NMP_TRY(one.topic, topic_in(field));
    }
    return {};
  }));
  return one;
}

Result<std::vector<MessageId>> decode_ids(ByteView bytes, std::uint32_t number, std::string* topic, Budget& budget) {
  std::vector<MessageId> ids;
  NMP_CHECK(each_field(bytes, [&](const ProtobufField& field) -> Result<void> {
    if (field.number == number) {
      NMP_CHECK(Budget::spend(budget.ids));
      NMP_TRY(auto id, bytes_in(field, kMessageIdBytesMax));
      ids.push_back(to_bytes(id));
    } else if (topic != nullptr && field.number == kControlTopic) {
      NMP_TRY(*topic, topic_in(field));
    }
    return {};
  }));
  return ids;
}

Result<Prune> decode_prune(ByteView bytes) {
  Prune prune;
  NMP_CHECK(each_field(bytes, [&](const ProtobufField& field) -> Result<void> {
    if (field.number == kControlTopic) {
      NMP_TRY(prune.topic, topic_in(field));
    } else if (field.number == kPruneBackoff) {
      NMP_TRY(prune.backoff_seconds, number_in(field));
    }
    return {};
  }));
  return prune;
}

Result<void> decode_control(ByteView bytes, Rpc& rpc, Budget& budget) {
  return each_field(bytes, [&](const ProtobufField& field) -> Result<void> {
    if (field.number < kIhave || field.number > kIdontwant) return {};
    NMP_CHECK(Budget::spend(budget.controls));
    NMP_TRY(auto body, bytes_in(field, kRpcBytesMax));
    switch (field.number) {
      case kIhave: {
        auto& one = rpc.ihave.emplace_back();
        NMP_TRY(one.ids, decode_ids(body, kIhaveIds, &one.topic, budget));
        return {};
      }
      case kIwant: {
        NMP_TRY(auto ids, decode_ids(body, kIds, nullptr, budget));
        rpc.iwant.push_back(std::move(ids));
        return {};
      }
      case kGraft: {
        std::string topic;
        NMP_CHECK(decode_ids(body, kIhaveIds, &topic, budget));
        rpc.graft.push_back(std::move(topic));
        return {};
      }
      case kPrune: {
        NMP_TRY(auto prune, decode_prune(body));
        rpc.prune.push_back(std::move(prune));
        return {};
      }
      default: {
        NMP_TRY(auto ids, decode_ids(body, kIds, nullptr, budget));
        rpc.idontwant.push_back(std::move(ids));
        return {};
      }
    }
  });
}

}  // namespace

MessageId Message::id() const {
  MessageId id = from.value_or(Bytes());
  if (seqno) append(id, *seqno);
  return id;
}

Bytes encode_delimited(const Rpc& rpc) {
  ProtobufWriter out;
  for (const auto& one : rpc.subscriptions)
    out.bytes(kSubscriptions,
              ProtobufWriter().varint(kSubscribe, one.subscribe ? 1 : 0).text(kTopicId, one.topic).view());
  for (const auto& message : rpc.publish) out.bytes(kPublish, encode_message(message));
  const auto control = encode_control(rpc);
  if (!control.empty()) out.bytes(kControl, control);
  Writer delimited;
  delimited.length_prefixed(out.view());
  return delimited.take();
}

Result<Rpc> decode(ByteView bytes) {
  if (bytes.size() > kRpcBytesMax) return fail(Errc::too_large, "gossipsub: RPC");
  Rpc rpc;
  Budget budget;
  NMP_CHECK(each_field(bytes, [&](const ProtobufField& field) -> Result<void> {
    if (field.number < kSubscriptions || field.number > kControl) return {};
    NMP_TRY(auto body, bytes_in(field, kRpcBytesMax));
    if (field.number == kSubscriptions) {
      NMP_CHECK(Budget::spend(budget.subscriptions));
      NMP_TRY(auto one, decode_subscription(body));
      rpc.subscriptions.push_back(std::move(one));
    } else if (field.number == kPublish) {
      NMP_CHECK(Budget::spend(budget.messages));
      NMP_TRY(auto message, decode_message(body));
      rpc.publish.push_back(std::move(message));
    } else {
      NMP_CHECK(decode_control(body, rpc, budget));
    }
    return {};
  }));
  return rpc;
}

Result<std::optional<Bytes>> Splitter::next() {
  Reader reader(held_);
  auto size = reader.uvarint();
  if (!size) {
    if (size.error().code == Errc::truncated) return std::nullopt;
    return fail(size.error());
  }
  if (*size > kRpcBytesMax) return fail(Errc::too_large, "gossipsub: RPC");
  if (reader.size() < *size) return std::nullopt;
  NMP_TRY(auto body, reader.take(*size));
  auto rpc = to_bytes(body);
  held_.erase(held_.begin(), held_.end() - static_cast<std::ptrdiff_t>(reader.size()));
  return std::optional(std::move(rpc));
}

Bytes signing_buffer(const Message& message) {
  ProtobufWriter out;
  write_signed_part(out, message);
  return concat({bytes_of(kSigningPrefix), out.view()});
}

Message seal(const KeyPair& key, std::string topic, Bytes data, std::uint64_t seqno) {
  Message message;
  message.from = to_bytes(PeerId::of(key.public_key()).bytes());
  message.data = std::move(data);
  Writer number;
  number.u64be(seqno);
  message.seqno = number.take();
  message.topic = std::move(topic);
  const auto signature = key.sign(signing_buffer(message));
  message.signature = to_bytes(signature);
  return message;
}

Result<PeerId> verify(const Message& message) {
  if (!message.from || !message.seqno || !message.signature || message.seqno->size() != kSeqnoBytes)
    return fail(Errc::malformed, "gossipsub: an unsigned message");
  NMP_TRY(auto from, PeerId::from_bytes(*message.from));
  auto key = message.key ? PublicKey::decode(*message.key) : from.public_key();
  if (!key) return fail(key.error());
  if (PeerId::of(*key) != from) return fail(Errc::malformed, "gossipsub: another's key");
  if (!key->verify(signing_buffer(message), *message.signature)) return fail(Errc::malformed, "gossipsub: signature");
  return from;
}

}  // namespace nmp::libp2p::gossipsub
