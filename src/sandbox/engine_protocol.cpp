#include "sandbox/engine_protocol.hpp"

#include <limits>

#include <fmt/format.h>

#include "base/codec.hpp"
#include "crypto/cbor.hpp"
#include "sandbox/errors.hpp"
#include "sandbox/limits.hpp"
#include "sandbox/watch_codec.hpp"
#include "sandbox/watch_records.hpp"

namespace nmp::sandbox {

namespace {

using cbor::Array;
using cbor::Value;

enum class Type : std::uint8_t {
  open = 1,
  bind = 2,
  job = 3,
  credit = 4,
  cancel = 5,
  drop = 6,
  stored = 7,
  fetched = 8,
  restore = 9,
  restored = 10,
  keys = 16,
  opened = 17,
  refused = 18,
  box = 19,
  ended = 20,
  write = 21,
  fetch = 22,
};

Bytes framed(Type type, Array fields) {
  fields.insert(fields.begin(), Value(static_cast<std::uint64_t>(type)));
  const auto body = cbor::encode(Value(std::move(fields)));
  return Writer().u32be(static_cast<std::uint32_t>(body.size())).bytes(body).take();
}

Array to_array(const std::vector<std::string>& names) {
  Array out;
  for (const auto& name : names) out.emplace_back(name);
  return out;
}

/// A frame's fields in their order.
class Fields {
 public:
  static Result<Fields> parse(const Value& value) {
    NMP_TRY(const Array* items, value.as_array());
    if (items->empty()) return fail(Errc::protocol, "empty frame");
    NMP_TRY(auto type, items->front().as_uint());
    return Fields(*items, type);
  }
  [[nodiscard]] std::uint64_t type() const { return type_; }
  Result<void> expect(std::size_t count) const {
    if (items_->size() != count + 1)
      return fail(Errc::protocol, fmt::format("frame {} of {} items", type_, items_->size()));
    return {};
  }
  [[nodiscard]] const Value& at(std::size_t i) const { return (*items_)[i + 1]; }
  /// All of the frame, its type included.
  [[nodiscard]] const Array& items() const { return *items_; }
  Result<SessionId> session() const { return at(0).as_byte_array<16>(); }
  Result<std::uint32_t> u32(std::size_t i) const {
    NMP_TRY(auto number, at(i).as_uint());
    if (number > std::numeric_limits<std::uint32_t>::max()) return fail(Errc::protocol, "number over 32 bits");
    return static_cast<std::uint32_t>(number);
  }
  Result<Bytes> bytes(std::size_t i) const {
    NMP_TRY(auto view, at(i).as_bytes());
    return to_bytes(view);
  }
  Result<std::string> text(std::size_t i, std::size_t size_max) const {
    NMP_TRY(auto view, at(i).as_text());
    if (view.size() > size_max) return fail(Errc::protocol, "text too long");
    return std::string(view);
  }

 private:
  Fields(const Array& items, std::uint64_t type) : items_(&items), type_(type) {}
  const Array* items_;
  std::uint64_t type_;
};

constexpr std::size_t kReasonBytesMax = 64;
constexpr std::size_t kMessageBytesMax = 1024;
constexpr std::size_t kMethodBytesMax = 256;

struct Encode {
  Bytes operator()(const OpenFrame& f) const { return framed(Type::open, {f.session, f.intent}); }
  Bytes operator()(const BindFrame& f) const {
    return framed(Type::bind, {f.session, f.answer, core::to_cbor(f.limits), to_array(f.datasets), f.runs,
                               f.watch ? core::to_cbor(*f.watch) : Value(nullptr)});
  }
  Bytes operator()(const JobFrame& f) const {
    return framed(Type::job, {f.session, f.run, f.method, f.pqc_ciphertext, f.aes_nonce,
                              f.module ? Value(*f.module) : Value(nullptr), f.inputs});
  }
  Bytes operator()(const CreditFrame& f) const { return framed(Type::credit, {f.session, f.run, f.bytes}); }
  Bytes operator()(const CancelFrame& f) const { return framed(Type::cancel, {f.session, f.run}); }
  Bytes operator()(const DropFrame& f) const { return framed(Type::drop, {f.session}); }
  Bytes operator()(const StoredFrame& f) const { return framed(Type::stored, {f.number, f.stored}); }
  Bytes operator()(const FetchedFrame& f) const {
    return framed(Type::fetched, {f.number, f.events ? to_cbor(*f.events) : Value(nullptr)});
  }
  Bytes operator()(const RestoreFrame& f) const { return framed(Type::restore, to_cbor(f.watch)); }
  Bytes operator()(const RestoredFrame&) const { return framed(Type::restored, {}); }
  Bytes operator()(const KeysFrame& f) const {
    return framed(Type::keys, {f.session, f.kem_key, f.x25519_key, f.module_cached});
  }
  Bytes operator()(const OpenedFrame& f) const { return framed(Type::opened, {f.session, f.run}); }
  Bytes operator()(const RefusedFrame& f) const {
    return framed(Type::refused, {f.session, f.run, f.reason, f.message});
  }
  Bytes operator()(const BoxFrame& f) const { return framed(Type::box, {f.session, f.run, f.sealed, f.is_final}); }
  Bytes operator()(const EndedFrame& f) const {
    return framed(Type::ended, {f.session, f.run, f.reason, core::to_cbor(f.used)});
  }
  Bytes operator()(const WriteFrame& f) const { return framed(Type::write, {f.number, to_cbor(f.writes)}); }
  Bytes operator()(const FetchFrame& f) const {
    return framed(Type::fetch, {f.number, f.id, static_cast<std::uint64_t>(f.what), f.from, f.count_max, f.bytes_max});
  }
};

}  // namespace

Bytes encode(const HostFrame& frame) { return std::visit(Encode(), frame); }
Bytes encode(const EngineFrame& frame) { return std::visit(Encode(), frame); }

Result<HostFrame> decode_host_frame(ByteView body) {
  NMP_TRY(const auto value, cbor::decode(body));
  NMP_TRY(const auto fields, Fields::parse(value));
  switch (static_cast<Type>(fields.type())) {
    case Type::open: {
      NMP_CHECK(fields.expect(2));
      OpenFrame f;
      NMP_TRY(f.session, fields.session());
      NMP_TRY(f.intent, fields.bytes(1));
      return HostFrame(std::move(f));
    }
    case Type::bind: {
      NMP_CHECK(fields.expect(6));
      BindFrame f;
      NMP_TRY(f.session, fields.session());
      NMP_TRY(f.answer, fields.bytes(1));
      NMP_TRY(f.limits, core::authorization_from_cbor(fields.at(2)));
      NMP_TRY(const Array* names, fields.at(3).as_array());
      if (names->size() > kDatasetsMax) return fail(Errc::protocol, "too many datasets");
      for (const auto& name : *names) {
        NMP_TRY(auto text, name.as_text());
        f.datasets.emplace_back(text);
      }
      NMP_TRY(f.runs, fields.u32(4));
      if (!fields.at(5).is_null()) {
        NMP_TRY(f.watch, core::watch_policy_from_cbor(fields.at(5)));
      }
      return HostFrame(std::move(f));
    }
    case Type::job: {
      NMP_CHECK(fields.expect(7));
      JobFrame f;
      NMP_TRY(f.session, fields.session());
      NMP_TRY(f.run, fields.u32(1));
      NMP_TRY(f.method, fields.text(2, kMethodBytesMax));
      NMP_TRY(f.pqc_ciphertext, fields.bytes(3));
      NMP_TRY(f.aes_nonce, fields.bytes(4));
      if (!fields.at(5).is_null()) {
        NMP_TRY(auto module, fields.bytes(5));
        f.module = std::move(module);
      }
      NMP_TRY(f.inputs, fields.bytes(6));
      return HostFrame(std::move(f));
    }
    case Type::credit: {
      NMP_CHECK(fields.expect(3));
      CreditFrame f;
      NMP_TRY(f.session, fields.session());
      NMP_TRY(f.run, fields.u32(1));
      NMP_TRY(f.bytes, fields.at(2).as_uint());
      return HostFrame(f);
    }
    case Type::cancel: {
      NMP_CHECK(fields.expect(2));
      CancelFrame f;
      NMP_TRY(f.session, fields.session());
      NMP_TRY(f.run, fields.u32(1));
      return HostFrame(f);
    }
    case Type::drop: {
      NMP_CHECK(fields.expect(1));
      DropFrame f;
      NMP_TRY(f.session, fields.session());
      return HostFrame(f);
    }
    case Type::stored: {
      NMP_CHECK(fields.expect(2));
      StoredFrame f;
      NMP_TRY(f.number, fields.at(0).as_uint());
      NMP_TRY(f.stored, fields.at(1).as_bool());
      return HostFrame(f);
    }
    case Type::fetched: {
      NMP_CHECK(fields.expect(2));
      FetchedFrame f;
      NMP_TRY(f.number, fields.at(0).as_uint());
      if (!fields.at(1).is_null()) {
        NMP_TRY(f.events, stored_events_from_cbor(fields.at(1)));
      }
      return HostFrame(std::move(f));
    }
    case Type::restore: {
      NMP_TRY(auto watch, stored_watch_from_cbor(fields.items()));
      return HostFrame(RestoreFrame(std::move(watch)));
    }
    case Type::restored: {
      NMP_CHECK(fields.expect(0));
      return HostFrame(RestoredFrame());
    }
    default: return fail(Errc::protocol, fmt::format("frame of type {}", fields.type()));
  }
}

Result<EngineFrame> decode_engine_frame(ByteView body) {
  NMP_TRY(const auto value, cbor::decode(body));
  NMP_TRY(const auto fields, Fields::parse(value));
  switch (static_cast<Type>(fields.type())) {
    case Type::keys: {
      NMP_CHECK(fields.expect(4));
      KeysFrame f;
      NMP_TRY(f.session, fields.session());
      NMP_TRY(f.kem_key, fields.bytes(1));
      NMP_TRY(f.x25519_key, fields.at(2).as_byte_array<32>());
      NMP_TRY(f.module_cached, fields.at(3).as_bool());
      return EngineFrame(std::move(f));
    }
    case Type::opened: {
      NMP_CHECK(fields.expect(2));
      OpenedFrame f;
      NMP_TRY(f.session, fields.session());
      NMP_TRY(f.run, fields.u32(1));
      return EngineFrame(f);
    }
    case Type::refused: {
      NMP_CHECK(fields.expect(4));
      RefusedFrame f;
      NMP_TRY(f.session, fields.session());
      NMP_TRY(f.run, fields.u32(1));
      NMP_TRY(f.reason, fields.text(2, kReasonBytesMax));
      NMP_TRY(f.message, fields.text(3, kMessageBytesMax));
      return EngineFrame(std::move(f));
    }
    case Type::box: {
      NMP_CHECK(fields.expect(4));
      BoxFrame f;
      NMP_TRY(f.session, fields.session());
      NMP_TRY(f.run, fields.u32(1));
      NMP_TRY(f.sealed, fields.bytes(2));
      NMP_TRY(f.is_final, fields.at(3).as_bool());
      return EngineFrame(std::move(f));
    }
    case Type::ended: {
      NMP_CHECK(fields.expect(4));
      EndedFrame f;
      NMP_TRY(f.session, fields.session());
      NMP_TRY(f.run, fields.u32(1));
      NMP_TRY(f.reason, fields.text(2, kReasonBytesMax));
      NMP_TRY(f.used, core::usage_from_cbor(fields.at(3)));
      return EngineFrame(std::move(f));
    }
    case Type::write: {
      NMP_CHECK(fields.expect(2));
      WriteFrame f;
      NMP_TRY(f.number, fields.at(0).as_uint());
      NMP_TRY(f.writes, writes_from_cbor(fields.at(1)));
      return EngineFrame(std::move(f));
    }
    case Type::fetch: {
      NMP_CHECK(fields.expect(6));
      FetchFrame f;
      NMP_TRY(f.number, fields.at(0).as_uint());
      NMP_TRY(f.id, fields.at(1).as_byte_array<16>());
      NMP_TRY(const auto what, fields.at(2).as_uint());
      if (what > 1) return fail(Errc::protocol, "what to fetch");
      f.what = static_cast<FetchFrame::What>(what);
      NMP_TRY(f.from, fields.at(3).as_uint());
      NMP_TRY(f.count_max, fields.u32(4));
      NMP_TRY(f.bytes_max, fields.at(5).as_uint());
      return EngineFrame(f);
    }
    default: return fail(Errc::protocol, fmt::format("frame of type {}", fields.type()));
  }
}

async::Awaitable<Result<std::optional<Bytes>>> read_frame(async::ByteStream& stream) {
  ByteArray<4> head{};
  NMP_CO_TRY(auto first, co_await stream.read_some(head));
  if (first == 0) co_return Result<std::optional<Bytes>>(std::optional<Bytes>());
  if (first < head.size()) NMP_CO_CHECK(co_await async::read_exactly(stream, std::span(head).subspan(first)));
  Reader reader(head);
  NMP_CO_TRY(auto size, reader.u32be());
  if (size == 0 || size > kFrameBytesMax) co_return fail(Errc::protocol, "length of a frame");
  Bytes body;
  while (body.size() < size) {
    const auto had = body.size();
    // At most doubled: a length alone allocates little.
    body.resize(std::min<std::size_t>(size, std::max<std::size_t>(2 * had, 64 * 1024)));
    NMP_CO_CHECK(co_await async::read_exactly(stream, std::span(body).subspan(had)));
  }
  co_return Result<std::optional<Bytes>>(std::optional<Bytes>(std::move(body)));
}

}  // namespace nmp::sandbox
