#include "rpc/h2/grpc_codec.hpp"

#include <array>

#include <nghttp2/nghttp2.h>
#include <zlib.h>

#include "base/codec.hpp"
#include "base/encoding.hpp"
#include "rpc/h2/limits.hpp"

namespace nmp::h2 {

namespace {
using namespace std::chrono_literals;
constexpr Duration kCentury = std::chrono::hours(876'000);
struct Unit {
  char letter;
  Duration length;
};
constexpr std::array kUnits{Unit{'n', 1ns}, Unit{'u', 1us},  Unit{'m', 1ms},
                            Unit{'S', 1s},  Unit{'M', 1min}, Unit{'H', 1h}};

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}
bool is_plain(char c) { return c >= 0x20 && c <= 0x7e && c != '%'; }
}  // namespace

Result<Duration> parse_timeout(std::string_view text) {
  if (text.size() < 2 || text.size() > kTimeoutDigitsMax + 1) return fail(Errc::bad_timeout);
  std::int64_t value = 0;
  for (char c : text.substr(0, text.size() - 1)) {
    if (c < '0' || c > '9') return fail(Errc::bad_timeout);
    value = value * 10 + (c - '0');
  }
  for (const auto& unit : kUnits)
    if (unit.letter == text.back()) return value > kCentury / unit.length ? kCentury : value * unit.length;
  return fail(Errc::bad_timeout);
}

std::string format_timeout(Duration left) {
  if (left <= Duration::zero()) return "0n";
  for (const auto& unit : kUnits) {
    auto count = left / unit.length + (left % unit.length != Duration::zero() ? 1 : 0);
    if (count < 100'000'000) return std::to_string(count) + unit.letter;
  }
  return "99999999H";
}

std::string percent_encode(std::string_view message) {
  if (message.size() > kStatusMessageBytesMax) {
    auto cut = kStatusMessageBytesMax;
    while (cut > 0 && (static_cast<unsigned char>(message[cut]) & 0xc0U) == 0x80U) --cut;
    message = message.substr(0, cut);
  }
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (char c : message) {
    if (is_plain(c)) {
      out += c;
      continue;
    }
    auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kHex[byte >> 4U];
    out += kHex[byte & 15U];
  }
  return out;
}

std::string percent_decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    int high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
    if (low < 0) {
      out += text[i];
      continue;
    }
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

bool is_binary(std::string_view name) { return name.ends_with("-bin"); }

bool is_custom_name(std::string_view name) {
  if (name.empty() || name.starts_with("grpc-")) return false;
  for (char c : name)
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.')) return false;
  return name != "te" && name != "content-type" && name != "user-agent" && name != "host" && name != "connection" &&
         name != "content-length" && name != "transfer-encoding" && name != "upgrade" && name != "keep-alive" &&
         name != "proxy-connection";
}

bool is_ascii_value(std::string_view value) {
  for (char c : value)
    if (c < 0x20 || c > 0x7e) return false;
  return value.empty() || (value.front() != ' ' && value.back() != ' ');
}

std::string encode_binary(std::string_view raw) {
  auto text = base64_encode(bytes_of(raw));
  while (text.ends_with('=')) text.pop_back();
  return text;
}

Result<std::vector<std::string>> decode_binary(std::string_view text) {
  std::vector<std::string> out;
  for (;;) {
    auto comma = text.find(',');
    auto part = text.substr(0, comma);
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    auto whole = std::string(part);
    while (whole.size() % 4 != 0) whole += '=';
    auto raw = base64_decode(whole);
    if (!raw) return fail(Errc::bad_metadata, "base64");
    out.push_back(string_of(*raw));
    if (comma == std::string_view::npos) return out;
    text.remove_prefix(comma + 1);
  }
}

bool accepts_gzip(std::string_view list) {
  for (;;) {
    auto comma = list.find(',');
    auto part = list.substr(0, comma);
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    if (part == "gzip") return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
}

Bytes message_header(bool compressed, std::size_t size) {
  NMP_ASSERT(size <= UINT32_MAX);
  return Writer().u8(compressed ? 1 : 0).u32be(static_cast<std::uint32_t>(size)).take();
}

Bytes gzip(ByteView data) {
  z_stream stream{};
  // 15 + 16: the largest window, with gzip's header (zlib.h, deflateInit2).
  NMP_ASSERT(deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  Bytes out(deflateBound(&stream, data.size()));
  stream.next_in = const_cast<Bytef*>(u8(data));
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = u8(std::span(out));
  stream.avail_out = static_cast<uInt>(out.size());
  NMP_ASSERT(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

int grpc_code_of_h2_error(std::uint32_t error_code) {
  switch (error_code) {
    case NGHTTP2_REFUSED_STREAM: return 14;
    case NGHTTP2_CANCEL: return 1;
    case NGHTTP2_ENHANCE_YOUR_CALM: return 8;
    case NGHTTP2_INADEQUATE_SECURITY: return 7;
    default: return 13;
  }
}

int grpc_code_of_http_status(std::string_view status) {
  if (status == "400") return 13;
  if (status == "401") return 16;
  if (status == "403") return 7;
  if (status == "404") return 12;
  if (status == "429" || status == "502" || status == "503" || status == "504") return 14;
  return 2;
}

}  // namespace nmp::h2
