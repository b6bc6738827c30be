#include "base/encoding.hpp"

#include <fmt/format.h>

namespace nmp {
namespace {

constexpr std::string_view kHex = "0123456789abcdef";
constexpr std::string_view kBase64Url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kBase32 = "abcdefghijklmnopqrstuvwxyz234567";
constexpr std::string_view kBase58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
constexpr std::string_view kBase36 = "0123456789abcdefghijklmnopqrstuvwxyz";

/// Alphabets whose size is a power of two: `bits` a character.
std::string encode_bits(ByteView bytes, std::string_view alphabet, unsigned bits) {
  std::string out;
  out.reserve((bytes.size() * 8 + bits - 1) / bits);
  unsigned buffer = 0;
  unsigned held = 0;
  for (auto byte : bytes) {
    buffer = buffer << 8 | std::to_integer<unsigned>(byte);
    held += 8;
    while (held >= bits) {
      held -= bits;
      out += alphabet[(buffer >> held) & ((1U << bits) - 1)];
    }
    buffer &= (1U << held) - 1;
  }
  if (held > 0) out += alphabet[(buffer << (bits - held)) & ((1U << bits) - 1)];
  return out;
}

Result<Bytes> decode_bits(std::string_view text, std::string_view alphabet, unsigned bits) {
  Bytes out;
  out.reserve(text.size() * bits / 8);
  unsigned buffer = 0;
  unsigned held = 0;
  for (char c : text) {
    auto digit = alphabet.find(c);
    if (digit == std::string_view::npos) return fail(Errc::malformed, "character outside the alphabet");
    buffer = buffer << bits | static_cast<unsigned>(digit);
    held += bits;
    if (held >= 8) {
      held -= 8;
      out.push_back(static_cast<std::byte>(buffer >> held));
      buffer &= (1U << held) - 1;
    }
  }
  if (held >= bits) return fail(Errc::malformed, "length");
  if (buffer != 0) return fail(Errc::malformed, "spare bits are not zero");
  return out;
}

std::string encode_base(ByteView bytes, std::string_view alphabet) {
  NMP_ASSERT(bytes.size() <= kBaseNBytesMax);
  auto base = static_cast<unsigned>(alphabet.size());
  auto zeros =
      static_cast<std::size_t>(std::ranges::find_if(bytes, [](auto b) { return b != std::byte{0}; }) - bytes.begin());
  std::vector<unsigned> digits;
  for (auto byte : bytes.subspan(zeros)) {
    unsigned carry = std::to_integer<unsigned>(byte);
    for (auto& digit : digits) {
      carry += digit << 8;
      digit = carry % base;
      carry /= base;
    }
    for (; carry > 0; carry /= base) digits.push_back(carry % base);
  }
  std::string out(zeros, alphabet[0]);
  for (auto it = digits.rbegin(); it != digits.rend(); ++it) out += alphabet[*it];
  return out;
}

Result<Bytes> decode_base(std::string_view text, std::string_view alphabet) {
  if (text.size() > 2 * kBaseNBytesMax) return fail(Errc::too_large);
  auto base = static_cast<unsigned>(alphabet.size());
  std::size_t zeros = 0;
  while (zeros < text.size() && text[zeros] == alphabet[0]) ++zeros;
  std::vector<unsigned> digits;
  for (char c : text.substr(zeros)) {
    auto value = alphabet.find(c);
    if (value == std::string_view::npos) return fail(Errc::malformed, "character outside the alphabet");
    auto carry = static_cast<unsigned>(value);
    for (auto& digit : digits) {
      carry += digit * base;
      digit = carry & 0xff;
      carry >>= 8;
    }
    for (; carry > 0; carry >>= 8) digits.push_back(carry & 0xff);
  }
  if (zeros + digits.size() > kBaseNBytesMax) return fail(Errc::too_large);
  Bytes out(zeros);
  for (auto it = digits.rbegin(); it != digits.rend(); ++it) out.push_back(static_cast<std::byte>(*it));
  return out;
}

/// Size of the well-formed UTF-8 sequence at the front of `text` (Unicode 15, table 3-7), or 0.
std::size_t utf8_sequence(std::string_view text) {
  auto at = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  auto tail = [&](std::size_t i) { return (at(i) & 0xc0U) == 0x80U; };
  unsigned c = at(0);
  if (text.empty()) return 0;
  if (c < 0x80) return 1;
  if (c >= 0xc2 && c <= 0xdf) return tail(1) ? 2 : 0;
  if (c >= 0xe0 && c <= 0xef) {
    unsigned low = c == 0xe0 ? 0xa0 : 0x80;
    unsigned high = c == 0xed ? 0x9f : 0xbf;
    return at(1) >= low && at(1) <= high && tail(2) ? 3 : 0;
  }
  if (c >= 0xf0 && c <= 0xf4) {
    unsigned low = c == 0xf0 ? 0x90 : 0x80;
    unsigned high = c == 0xf4 ? 0x8f : 0xbf;
    return at(1) >= low && at(1) <= high && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

std::string hex_encode(ByteView bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (auto byte : bytes) {
    out += kHex[std::to_integer<unsigned>(byte >> 4)];
    out += kHex[std::to_integer<unsigned>(byte & std::byte{15})];
  }
  return out;
}

Result<Bytes> hex_decode(std::string_view text) {
  if (text.size() % 2 != 0) return fail(Errc::malformed, "odd number of hex digits");
  std::string lower(text);
  for (auto& c : lower) {
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
  }
  return decode_bits(lower, kHex, 4);
}

std::string base64url_encode(ByteView bytes) { return encode_bits(bytes, kBase64Url, 6); }
Result<Bytes> base64url_decode(std::string_view text) { return decode_bits(text, kBase64Url, 6); }

std::string base64_encode(ByteView bytes) {
  auto out = encode_bits(bytes, kBase64, 6);
  while (out.size() % 4 != 0) out += '=';
  return out;
}

Result<Bytes> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0) return fail(Errc::malformed, "length");
  for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  return decode_bits(text, kBase64, 6);
}

std::string base32_encode(ByteView bytes) { return encode_bits(bytes, kBase32, 5); }
Result<Bytes> base32_decode(std::string_view text) { return decode_bits(text, kBase32, 5); }
std::string base58_encode(ByteView bytes) { return encode_base(bytes, kBase58); }
Result<Bytes> base58_decode(std::string_view text) { return decode_base(text, kBase58); }
std::string base36_encode(ByteView bytes) { return encode_base(bytes, kBase36); }
Result<Bytes> base36_decode(std::string_view text) { return decode_base(text, kBase36); }

std::string escape_text(std::string_view text, std::size_t size_max) {
  std::string out;
  while (!text.empty()) {
    auto size = utf8_sequence(text);
    auto c = static_cast<unsigned char>(text[0]);
    // C1 controls are two-byte sequences that terminals act on.
    bool c1 = size == 2 && c == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0;
    bool plain = size > 0 && !c1 && c >= 0x20 && c != 0x7f;
    auto take = std::max<std::size_t>(size, 1);
    std::string piece;
    if (plain) {
      piece = text.substr(0, take);
    } else {
      for (char byte : text.substr(0, take)) piece += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
    }
    if (out.size() + piece.size() > size_max) return out + "...";
    out += piece;
    text.remove_prefix(take);
  }
  return out;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    auto size = utf8_sequence(text);
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

}  // namespace nmp
