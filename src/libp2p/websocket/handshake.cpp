#include "libp2p/websocket/handshake.hpp"

#include <algorithm>
#include <map>

#include "base/encoding.hpp"
#include "crypto/hash.hpp"
#include "libp2p/websocket/errors.hpp"
#include "libp2p/websocket/limits.hpp"

namespace nmp::libp2p::websocket {
namespace {

constexpr std::string_view kEnd = "\r\n";
constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

std::unexpected<Error> bad(const char* what) { return fail(Errc::bad_handshake, what); }

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool same_word(std::string_view a, std::string_view b) { return std::ranges::equal(a, b, {}, lower, lower); }

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t";
  const auto first = text.find_first_not_of(kBlank);
  return first == std::string_view::npos ? std::string_view()
                                         : text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

/// Whether a comma-separated list has a word (RFC 9110 section 5.6.1).
bool lists(std::string_view list, std::string_view word) {
  while (!list.empty()) {
    const auto comma = std::min(list.find(','), list.size());
    if (same_word(trim(list.substr(0, comma)), word)) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

/// RFC 9110 section 5.6.2.
bool is_token(std::string_view text) {
  static constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') || kOthers.contains(c);
  });
}

struct Head {
  std::string_view first_line;
  std::map<std::string, std::string, std::less<>> fields;  ///< by lower-case name; several of a name are one list

  [[nodiscard]] std::string_view field(std::string_view name) const {
    const auto it = fields.find(name);
    return it == fields.end() ? std::string_view() : std::string_view(it->second);
  }
};

Result<Head> parse(std::string_view text) {
  // The empty line at the end was looked for by HeadReader.
  if (!text.ends_with("\r\n\r\n")) return bad("no end of the head");
  text.remove_suffix(kEnd.size());
  if (std::ranges::any_of(text, [](char c) { return c == 0; })) return bad("a zero byte");
  Head head;
  for (bool first = true; !text.empty(); first = false) {
    const auto end = text.find(kEnd);
    const auto line = text.substr(0, end);
    text.remove_prefix(end + kEnd.size());
    if (first) {
      head.first_line = line;
      continue;
    }
    const auto colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) return bad("a header field");
    std::string name(line.substr(0, colon));
    std::ranges::transform(name, name.begin(), lower);
    auto& value = head.fields[std::move(name)];
    if (!value.empty()) value += ", ";
    value += trim(line.substr(colon + 1));
  }
  return head;
}

Result<void> check_upgrade(const Head& head) {
  if (!lists(head.field("upgrade"), "websocket") || !lists(head.field("connection"), "upgrade"))
    return bad("no upgrade");
  return {};
}

}  // namespace

Result<std::optional<std::string>> HeadReader::feed(ByteView& input) {
  constexpr std::string_view kHeadEnd = "\r\n\r\n";
  // The end may have begun in an earlier piece.
  const auto from = head_.size() < kHeadEnd.size() ? 0 : head_.size() - (kHeadEnd.size() - 1);
  const auto before = head_.size();
  head_ += text_of(input.first(std::min(input.size(), kHeadBytesMax - before)));
  const auto end = head_.find(kHeadEnd, from);
  if (end == std::string::npos) {
    if (head_.size() == kHeadBytesMax) return bad("too long");
    input = {};
    return std::nullopt;
  }
  head_.resize(end + kHeadEnd.size());
  input = input.subspan(head_.size() - before);
  return std::exchange(head_, {});
}

std::string upgrade_request(std::string_view host, std::string_view key) {
  return "GET / HTTP/1.1\r\nHost: " + std::string(host) +
         "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " +
         std::string(key) + "\r\n\r\n";
}

Result<std::string> read_request(std::string_view text) {
  NMP_TRY(const auto head, parse(text));
  const auto& line = head.first_line;
  if (!line.starts_with("GET /") || !line.ends_with(" HTTP/1.1") || std::ranges::count(line, ' ') != 2)
    return bad("request line");
  NMP_CHECK(check_upgrade(head));
  if (!head.fields.contains("host")) return bad("no host");
  if (head.field("sec-websocket-version") != "13") return bad("version");
  const auto key = head.field("sec-websocket-key");
  const auto decoded = base64_decode(key);
  if (!decoded || decoded->size() != 16) return bad("key");
  return std::string(key);
}

std::string accept_of(std::string_view key) {
  return base64_encode(crypto::sha1_for_websocket(bytes_of(std::string(key) + std::string(kGuid))));
}

std::string upgrade_answer(std::string_view key) {
  return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
         accept_of(key) + "\r\n\r\n";
}

std::string_view refusal() {
  return "HTTP/1.1 400 Bad Request\r\nSec-WebSocket-Version: 13\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
}

Result<void> read_answer(std::string_view text, std::string_view key) {
  NMP_TRY(const auto head, parse(text));
  constexpr std::string_view kStatus = "HTTP/1.1 101";
  const auto& line = head.first_line;
  if (!line.starts_with(kStatus) || (line.size() > kStatus.size() && line[kStatus.size()] != ' '))
    return fail(Errc::bad_handshake, "answered " + escape_text(line, 64));
  NMP_CHECK(check_upgrade(head));
  if (head.field("sec-websocket-accept") != accept_of(key)) return bad("accept");
  // None was asked for: sections 4.1 and 9.1.
  if (head.fields.contains("sec-websocket-extensions") || head.fields.contains("sec-websocket-protocol"))
    return bad("an extension or protocol that was not offered");
  return {};
}

}  // namespace nmp::libp2p::websocket
