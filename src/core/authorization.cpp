#include "core/authorization.hpp"

#include <algorithm>
#include <array>

#include "core/errc.hpp"
#include "core/statement.hpp"

namespace nmp::core {
namespace {

struct Column {
  std::uint64_t key;
  std::uint64_t Authorization::* limit;
  std::uint64_t Usage::* used;
};
constexpr std::array<Column, 8> kColumns{{
    {1, &Authorization::memory_bytes, &Usage::memory_bytes},
    {2, &Authorization::fuel, &Usage::fuel},
    {3, &Authorization::wall_time_ms, &Usage::wall_time_ms},
    {4, &Authorization::output_bytes, &Usage::output_bytes},
    {5, &Authorization::event_bytes, &Usage::event_bytes},
    {6, &Authorization::events, &Usage::events},
    {7, &Authorization::diagnostic_bytes, &Usage::diagnostic_bytes},
    {8, &Authorization::input_bytes, &Usage::input_bytes},
}};

}  // namespace

std::chrono::milliseconds Authorization::wall_time() const {
  constexpr auto kMax = std::chrono::milliseconds::max();
  return std::cmp_greater(wall_time_ms, kMax.count()) ? kMax : std::chrono::milliseconds(wall_time_ms);
}

bool Authorization::is_complete() const {
  return std::ranges::all_of(kColumns, [this](const Column& column) { return this->*column.limit != kNoCeiling; });
}

Authorization minimum(const Authorization& a, const Authorization& b) {
  Authorization out;
  for (const auto& column : kColumns) out.*column.limit = std::min(a.*column.limit, b.*column.limit);
  return out;
}

bool within(const Authorization& a, const Authorization& b) { return minimum(a, b) == a; }

cbor::Value to_cbor(const Authorization& limits) {
  cbor::Map map;
  for (const auto& column : kColumns) {
    if (limits.*column.limit != kNoCeiling) map.add(column.key, limits.*column.limit);
  }
  return map;
}

Result<Authorization> authorization_from_cbor(const cbor::Value& value) {
  auto map = value.as_map();
  if (!map) return fail(Errc::bad_statement, "limits");
  cbor::MapReader reader(**map);
  Authorization out;
  for (const auto& column : kColumns) {
    const auto* item = reader.maybe(column.key);
    if (item == nullptr) continue;
    auto number = item->as_uint();
    if (!number || *number == kNoCeiling) return fail(Errc::bad_statement, "limit");
    out.*column.limit = *number;
  }
  if (!reader.done()) return fail(Errc::bad_statement, "unknown limit");
  return out;
}

cbor::Value to_cbor(const Usage& used) {
  cbor::Map map;
  for (const auto& column : kColumns) map.add(column.key, used.*column.used);
  return map;
}

Result<Usage> usage_from_cbor(const cbor::Value& value) {
  auto map = value.as_map();
  if (!map) return fail(Errc::bad_statement, "usage");
  cbor::MapReader reader(**map);
  Usage out;
  for (const auto& column : kColumns) {
    auto number = reader.uint(column.key);
    if (!number) return fail(Errc::bad_statement, "usage");
    out.*column.used = *number;
  }
  if (!reader.done()) return fail(Errc::bad_statement, "unknown usage");
  return out;
}

}  // namespace nmp::core
