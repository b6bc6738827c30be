#include "libp2p/peer/der.hpp"

#include <chrono>

#include "libp2p/peer/errors.hpp"

namespace nmp::libp2p::der {
namespace {

constexpr std::size_t kDepthMax = 16;
constexpr std::uint8_t kConstructed = 0x20;
constexpr std::uint8_t kUniversalMax = 0x3f;

std::unexpected<Error> malformed(const char* what) { return fail(PeerErrc::certificate_malformed, what); }

/// X.690 sections 11.7 and 11.8: whole seconds and `Z`. `value` has two or four digits of year.
Result<UnixSeconds> parse_time(std::uint8_t tag, ByteView value) {
  auto text = text_of(value);
  std::size_t year_digits = tag == kUtcTime ? 2 : 4;
  bool digits = text.size() == year_digits + 11 && text.ends_with('Z') &&
                std::ranges::all_of(text.substr(0, text.size() - 1), [](char c) { return c >= '0' && c <= '9'; });
  if (!digits) return malformed("time");
  auto take = [&](std::size_t size) {
    int number = 0;
    for (char c : text.substr(0, size)) number = number * 10 + (c - '0');
    text.remove_prefix(size);
    return number;
  };
  int year = take(year_digits);
  if (tag == kUtcTime) year += year < 50 ? 2000 : 1900;
  auto month = static_cast<unsigned>(take(2));
  auto day = static_cast<unsigned>(take(2));
  int hours = take(2);
  int minutes = take(2);
  int seconds = take(2);
  std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month), std::chrono::day(day)};
  if (!date.ok() || hours > 23 || minutes > 59 || seconds > 59) return malformed("time");
  auto time = std::chrono::sys_days(date) + std::chrono::hours(hours) + std::chrono::minutes(minutes) +
              std::chrono::seconds(seconds);
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

Result<void> check_primitive(std::uint8_t tag, ByteView value) {
  auto at = [&](std::size_t i) { return std::to_integer<unsigned>(value[i]); };
  switch (tag) {
    case kBoolean:
      if (value.size() != 1 || (at(0) != 0 && at(0) != 0xff)) return malformed("boolean");
      return {};
    case kInteger: {
      if (value.empty()) return malformed("integer");
      bool spare = value.size() > 1 && ((at(0) == 0 && at(1) < 0x80) || (at(0) == 0xff && at(1) >= 0x80));
      if (spare) return malformed("integer is not minimal");
      return {};
    }
    case kBitString: {
      if (value.empty() || at(0) > 7 || (value.size() == 1 && at(0) != 0)) return malformed("bit string");
      if ((at(value.size() - 1) & ((1U << at(0)) - 1)) != 0 && value.size() > 1) return malformed("spare bits");
      return {};
    }
    case kUtcTime:
    case kGeneralizedTime: {
      NMP_CHECK(parse_time(tag, value));
      return {};
    }
    default: return {};
  }
}

Result<void> check_level(ByteView bytes, std::size_t depth) {
  if (depth > kDepthMax) return malformed("nesting");
  Reader reader(bytes);
  while (!reader.empty()) {
    NMP_TRY(auto element, read(reader));
    bool constructed = (element.tag & kConstructed) != 0;
    bool universal = element.tag <= kUniversalMax;
    bool must = (element.tag & ~kConstructed) == (kSequence & ~kConstructed) ||
                (element.tag & ~kConstructed) == (kSet & ~kConstructed);
    if (universal && constructed != must) return malformed("constructed form");
    if (constructed) {
      NMP_CHECK(check_level(element.value, depth + 1));
    } else {
      NMP_CHECK(check_primitive(element.tag, element.value));
    }
  }
  return {};
}

}  // namespace

Result<Element> read(Reader& reader) {
  auto all = reader.rest();
  auto tag = reader.u8();
  auto first = reader.u8();
  if (!tag || !first) return malformed("truncated");
  if ((*tag & 0x1f) == 0x1f || *tag == 0) return malformed("tag");
  std::size_t size = *first;
  if (*first >= 0x80) {
    // A certificate's ceiling is far below 64 KiB: at most two length octets.
    auto octets = reader.take(*first & 0x7fU);
    if (!octets || octets->empty() || octets->size() > 2) return malformed("length");
    size = 0;
    for (auto octet : *octets) size = size << 8 | std::to_integer<std::size_t>(octet);
    if (size < (octets->size() == 1 ? 0x80U : 0x100U)) return malformed("length is not minimal");
  }
  auto value = reader.take(size);
  if (!value) return malformed("truncated");
  return Element{.tag = *tag, .value = *value, .whole = all.first(all.size() - reader.size())};
}

Result<ByteView> read(Reader& reader, std::uint8_t tag) {
  NMP_TRY(auto element, read(reader));
  if (element.tag != tag) return malformed("another tag is due");
  return element.value;
}

Result<void> check(ByteView bytes) { return check_level(bytes, 1); }

Result<UnixSeconds> read_time(Reader& reader) {
  NMP_TRY(auto element, read(reader));
  if (element.tag != kUtcTime && element.tag != kGeneralizedTime) return malformed("time");
  return parse_time(element.tag, element.value);
}

Bytes element(std::uint8_t tag, std::initializer_list<ByteView> parts) {
  auto value = concat(parts);
  NMP_ASSERT(value.size() < 0x10000);
  Writer writer;
  writer.u8(tag);
  if (value.size() >= 0x100) {
    writer.u8(0x82).u16be(static_cast<std::uint16_t>(value.size()));
  } else {
    if (value.size() >= 0x80) writer.u8(0x81);
    writer.u8(static_cast<std::uint8_t>(value.size()));
  }
  return writer.bytes(value).take();
}

}  // namespace nmp::libp2p::der
