#include "sandbox/watch_codec.hpp"

#include <limits>

#include "sandbox/errors.hpp"
#include "sandbox/limits.hpp"
#include "sandbox/watch_records.hpp"

namespace nmp::sandbox {

namespace {

using cbor::Array;
using cbor::Value;

Result<Bytes> bytes_at(const Array& items, std::size_t i) {
  NMP_TRY(const auto view, items[i].as_bytes());
  return to_bytes(view);
}
Value optional_bytes(const std::optional<Bytes>& bytes) { return bytes ? Value(*bytes) : Value(nullptr); }
Result<std::optional<Bytes>> optional_bytes_at(const Array& items, std::size_t i) {
  if (items[i].is_null()) return std::optional<Bytes>();
  NMP_TRY(auto bytes, bytes_at(items, i));
  return std::optional<Bytes>(std::move(bytes));
}

struct Encode {
  Value operator()(const CreateWatch& w) const {
    return Array{0, w.id, w.owner.bytes(), w.capability, w.key, w.definition, w.module};
  }
  Value operator()(const PutProgress& w) const { return Array{1, w.id, w.record}; }
  Value operator()(const PutEvent& w) const { return Array{2, w.id, w.sequence, w.record}; }
  Value operator()(const PutLog& w) const { return Array{3, w.id, w.record}; }
  Value operator()(const ForgetEvents& w) const { return Array{4, w.id, w.up_to}; }
  Value operator()(const EraseWatch& w) const { return Array{5, w.id}; }
};

Result<WatchWrite> write_from_cbor(const Value& value) {
  NMP_TRY(const auto* array, value.as_array());
  const auto& items = *array;
  if (items.size() < 2) return fail(Errc::protocol, "a write of no fields");
  NMP_TRY(const auto kind, items[0].as_uint());
  NMP_TRY(const auto id, items[1].as_byte_array<16>());
  const auto expect = [&](std::size_t count) -> Result<void> {
    if (items.size() != count) return fail(Errc::protocol, "fields of a write");
    return {};
  };
  switch (kind) {
    case 0: {
      NMP_CHECK(expect(7));
      NMP_TRY(const auto owner_bytes, items[2].as_bytes());
      NMP_TRY(auto owner, libp2p::PeerId::from_bytes(owner_bytes));
      CreateWatch w{.id = id, .owner = std::move(owner)};
      NMP_TRY(w.capability, items[3].as_text());
      NMP_TRY(w.key, bytes_at(items, 4));
      NMP_TRY(w.definition, bytes_at(items, 5));
      NMP_TRY(w.module, bytes_at(items, 6));
      return WatchWrite(std::move(w));
    }
    case 1: {
      NMP_CHECK(expect(3));
      PutProgress w{.id = id, .record = {}};
      NMP_TRY(w.record, bytes_at(items, 2));
      return WatchWrite(std::move(w));
    }
    case 2: {
      NMP_CHECK(expect(4));
      PutEvent w{.id = id, .sequence = 0, .record = {}};
      NMP_TRY(w.sequence, items[2].as_uint());
      NMP_TRY(w.record, bytes_at(items, 3));
      return WatchWrite(std::move(w));
    }
    case 3: {
      NMP_CHECK(expect(3));
      PutLog w{.id = id, .record = {}};
      NMP_TRY(w.record, bytes_at(items, 2));
      return WatchWrite(std::move(w));
    }
    case 4: {
      NMP_CHECK(expect(3));
      ForgetEvents w{.id = id, .up_to = 0};
      NMP_TRY(w.up_to, items[2].as_uint());
      return WatchWrite(w);
    }
    case 5: {
      NMP_CHECK(expect(2));
      return WatchWrite(EraseWatch{.id = id});
    }
    default: return fail(Errc::protocol, "kind of a write");
  }
}

}  // namespace

Array to_cbor(const StoredWatch& watch) {
  Array sizes;
  for (const auto size : watch.event_bytes) sizes.emplace_back(size);
  return Array{watch.id,
               watch.owner.bytes(),
               watch.capability,
               watch.key,
               watch.definition,
               optional_bytes(watch.progress),
               optional_bytes(watch.log),
               watch.next_event,
               std::move(sizes),
               watch.allowed ? to_cbor(*watch.allowed) : Value(nullptr)};
}

Result<StoredWatch> stored_watch_from_cbor(const Array& items) {
  if (items.size() != 11) return fail(Errc::protocol, "fields of a watchdog");
  NMP_TRY(const auto owner_bytes, items[2].as_bytes());
  NMP_TRY(auto owner, libp2p::PeerId::from_bytes(owner_bytes));
  StoredWatch out(std::move(owner));
  NMP_TRY(out.id, items[1].as_byte_array<16>());
  NMP_TRY(out.capability, items[3].as_text());
  NMP_TRY(out.key, bytes_at(items, 4));
  NMP_TRY(out.definition, bytes_at(items, 5));
  NMP_TRY(out.progress, optional_bytes_at(items, 6));
  NMP_TRY(out.log, optional_bytes_at(items, 7));
  NMP_TRY(out.next_event, items[8].as_uint());
  NMP_TRY(const auto* sizes, items[9].as_array());
  if (sizes->size() > kWatchEventsMax || sizes->size() > out.next_event) return fail(Errc::protocol, "events kept");
  out.event_bytes.reserve(sizes->size());
  for (const auto& item : *sizes) {
    NMP_TRY(const auto size, item.as_uint());
    if (size > std::numeric_limits<std::uint32_t>::max()) return fail(Errc::protocol, "length of an event");
    out.event_bytes.push_back(static_cast<std::uint32_t>(size));
  }
  if (!items[10].is_null()) {
    NMP_TRY(out.allowed, watch_authorization_from_cbor(items[10]));
  }
  return out;
}

Value to_cbor(const std::vector<WatchWrite>& writes) {
  Array out;
  out.reserve(writes.size());
  for (const auto& write : writes) out.push_back(std::visit(Encode(), write));
  return Value(std::move(out));
}

Result<std::vector<WatchWrite>> writes_from_cbor(const Value& value) {
  NMP_TRY(const auto* items, value.as_array());
  if (items->size() > kWatchWritesMax) return fail(Errc::protocol, "too many writes");
  std::vector<WatchWrite> out;
  for (const auto& item : *items) {
    NMP_TRY(auto write, write_from_cbor(item));
    out.push_back(std::move(write));
  }
  return out;
}

Value to_cbor(const std::vector<StoredEvent>& events) {
  Array out;
  for (const auto& event : events) out.emplace_back(Array{event.sequence, event.record});
  return Value(std::move(out));
}

Result<std::vector<StoredEvent>> stored_events_from_cbor(const Value& value) {
  NMP_TRY(const auto* items, value.as_array());
  if (items->size() > kWatchFetchEvents) return fail(Errc::protocol, "too many events");
  std::vector<StoredEvent> out;
  for (const auto& item : *items) {
    NMP_TRY(const auto* pair, item.as_array());
    if (pair->size() != 2) return fail(Errc::protocol, "not [sequence, record]");
    StoredEvent event;
    NMP_TRY(event.sequence, (*pair)[0].as_uint());
    NMP_TRY(event.record, bytes_at(*pair, 1));
    out.push_back(std::move(event));
  }
  return out;
}

}  // namespace nmp::sandbox
