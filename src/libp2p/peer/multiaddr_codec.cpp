#include "libp2p/peer/multiaddr_codec.hpp"

#include <charconv>

#include "base/encoding.hpp"
#include "libp2p/peer/errors.hpp"
#include "libp2p/peer/limits.hpp"
#include "libp2p/peer/multihash.hpp"

namespace nmp::libp2p {
namespace {

enum class Form : std::uint8_t { none, u8, u16, u64, ip4, ip6, text, http_path, path, peer, multihash };

struct Row {
  Protocol protocol;
  std::string_view name;
  Form form;
};

/// libp2p.md section 3; github.com/multiformats/multicodec table.csv, tag "multiaddr".
constexpr std::array kTable = {
    Row{Protocol::ip4, "ip4", Form::ip4},
    Row{Protocol::tcp, "tcp", Form::u16},
    Row{Protocol::ip6, "ip6", Form::ip6},
    Row{Protocol::ip6zone, "ip6zone", Form::text},
    Row{Protocol::ipcidr, "ipcidr", Form::u8},
    Row{Protocol::dns, "dns", Form::text},
    Row{Protocol::dns4, "dns4", Form::text},
    Row{Protocol::dns6, "dns6", Form::text},
    Row{Protocol::dnsaddr, "dnsaddr", Form::text},
    Row{Protocol::udp, "udp", Form::u16},
    Row{Protocol::webrtc_direct, "webrtc-direct", Form::none},
    Row{Protocol::webrtc, "webrtc", Form::none},
    Row{Protocol::p2p_circuit, "p2p-circuit", Form::none},
    Row{Protocol::unix_path, "unix", Form::path},
    Row{Protocol::p2p, "p2p", Form::peer},
    Row{Protocol::https, "https", Form::none},
    Row{Protocol::tls, "tls", Form::none},
    Row{Protocol::sni, "sni", Form::text},
    Row{Protocol::noise, "noise", Form::none},
    Row{Protocol::quic, "quic", Form::none},
    Row{Protocol::quic_v1, "quic-v1", Form::none},
    Row{Protocol::webtransport, "webtransport", Form::none},
    Row{Protocol::certhash, "certhash", Form::multihash},
    Row{Protocol::ws, "ws", Form::none},
    Row{Protocol::wss, "wss", Form::none},
    Row{Protocol::http, "http", Form::none},
    Row{Protocol::http_path, "http-path", Form::http_path},
    Row{Protocol::memory, "memory", Form::u64},
};

const Row* find_row(std::uint64_t code) {
  auto at =
      std::ranges::find(kTable, code, [](const Row& row) { return std::uint64_t{std::to_underlying(row.protocol)}; });
  return at == kTable.end() ? nullptr : &*at;
}

const Row* find_row(std::string_view name) {
  if (name == "ipfs") name = "p2p";
  auto at = std::ranges::find(kTable, name, &Row::name);
  return at == kTable.end() ? nullptr : &*at;
}

/// Sizes of the fixed forms; nothing for those with a length prefix.
std::optional<std::size_t> fixed_size(Form form) {
  switch (form) {
    case Form::none: return 0;
    case Form::u8: return 1;
    case Form::u16: return 2;
    case Form::u64: return 8;
    case Form::ip4: return 4;
    case Form::ip6: return 16;
    default: return std::nullopt;
  }
}

/// Host names, zones, SNI: what stands between two slashes and survives a trip through text.
bool is_plain_text(ByteView value) {
  auto text = text_of(value);
  return !text.empty() && is_utf8(text) &&
         std::ranges::none_of(text, [](char c) { return c == '/' || (c >= 0 && c <= ' ') || c == 0x7f; });
}

Result<void> check_value(Form form, ByteView value) {
  bool ok = true;
  switch (form) {
    case Form::text: ok = is_plain_text(value); break;
    case Form::http_path: ok = !value.empty(); break;
    // The text form loses a last slash, and an empty path is no path.
    case Form::path: ok = value.size() > 1 && text_of(value).starts_with('/') && !text_of(value).ends_with('/'); break;
    case Form::peer: {
      NMP_CHECK(PeerId::from_bytes(value));
      break;
    }
    case Form::multihash: {
      NMP_CHECK(Multihash::decode(value));
      break;
    }
    default: break;
  }
  if (!ok) return fail(PeerErrc::malformed, "multiaddr value");
  return {};
}

template <class T>
Result<T> number(std::string_view text) {
  T value{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size())
    return fail(PeerErrc::malformed, "number in a multiaddr");
  return value;
}

bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
         c == '.' || c == '~';
}

/// RFC 3986 section 2.1; all but the unreserved characters are encoded.
std::string percent_encode(ByteView bytes) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (char c : text_of(bytes)) {
    if (is_unreserved(c)) {
      out += c;
    } else {
      auto value = static_cast<unsigned char>(c);
      out += {'%', kDigits[value >> 4], kDigits[value & 15]};
    }
  }
  return out;
}

Result<Bytes> percent_decode(std::string_view text) {
  Bytes out;
  while (!text.empty()) {
    if (is_unreserved(text[0])) {
      out.push_back(static_cast<std::byte>(text[0]));
      text.remove_prefix(1);
      continue;
    }
    auto byte = text[0] == '%' && text.size() >= 3 ? hex_decode(text.substr(1, 2)) : Bytes{};
    if (!byte || byte->empty()) return fail(PeerErrc::malformed, "percent encoding");
    out.push_back(byte->front());
    text.remove_prefix(3);
  }
  return out;
}

Result<Bytes> value_from_text(Form form, std::string_view text) {
  switch (form) {
    case Form::none: return Bytes{};
    case Form::u8: {
      NMP_TRY(auto value, number<std::uint8_t>(text));
      return Writer().u8(value).take();
    }
    case Form::u16: {
      NMP_TRY(auto value, number<std::uint16_t>(text));
      return Writer().u16be(value).take();
    }
    case Form::u64: {
      NMP_TRY(auto value, number<std::uint64_t>(text));
      return Writer().u64be(value).take();
    }
    case Form::ip4:
    case Form::ip6: {
      NMP_TRY(auto ip, IpAddress::parse(text));
      if (ip.v6 != (form == Form::ip6)) return fail(PeerErrc::malformed, "IP address of the other family");
      return to_bytes(ip.view());
    }
    case Form::peer: {
      NMP_TRY(auto id, PeerId::parse(text));
      return to_bytes(id.bytes());
    }
    case Form::multihash: return multibase_decode(text);
    case Form::http_path: return percent_decode(text);
    case Form::text:
    case Form::path: return to_bytes(text);
  }
  return fail(PeerErrc::malformed);
}

}  // namespace

Result<Multiaddr::Component> read_component(Reader& reader) {
  auto code = reader.uvarint();
  if (!code) return fail(PeerErrc::malformed, "multiaddr code");
  const auto* row = find_row(*code);
  if (row == nullptr) return fail(PeerErrc::unsupported, "multiaddr protocol");
  auto size = fixed_size(row->form);
  auto value = size ? reader.take(*size) : reader.length_prefixed(kMultiaddrValueBytesMax);
  if (!value) {
    bool large = value.error().code == Errc::too_large;
    return fail(large ? PeerErrc::too_large : PeerErrc::malformed, "multiaddr value");
  }
  NMP_CHECK(check_value(row->form, *value));
  // Its text runs to the end of the address.
  if (row->form == Form::path && !reader.empty()) return fail(PeerErrc::malformed, "a path is the last component");
  return Multiaddr::Component{.protocol = row->protocol, .value = *value};
}

void write_component(Writer& writer, Protocol protocol, ByteView value) {
  auto code = std::to_underlying(protocol);
  writer.uvarint(code);
  if (fixed_size(find_row(code)->form)) {
    writer.bytes(value);
  } else {
    writer.length_prefixed(value);
  }
}

Result<void> check_components(ByteView bytes) {
  if (bytes.empty()) return fail(PeerErrc::malformed, "empty multiaddr");
  if (bytes.size() > kMultiaddrBytesMax) return fail(PeerErrc::too_large, "multiaddr");
  Reader reader(bytes);
  for (std::size_t count = 1; !reader.empty(); ++count) {
    if (count > kMultiaddrComponentsMax) return fail(PeerErrc::too_large, "multiaddr components");
    NMP_CHECK(read_component(reader));
  }
  return {};
}

std::string component_text(const Multiaddr::Component& component) {
  const auto* row = find_row(std::to_underlying(component.protocol));
  NMP_ASSERT(row != nullptr);
  auto head = "/" + std::string(row->name);
  auto value = component.value;
  switch (row->form) {
    case Form::none: return head;
    case Form::u8: return head + "/" + std::to_string(Reader(value).u8().value());
    case Form::u16: return head + "/" + std::to_string(Reader(value).u16be().value());
    case Form::u64: return head + "/" + std::to_string(Reader(value).u64be().value());
    case Form::ip4:
    case Form::ip6: {
      IpAddress ip{.v6 = row->form == Form::ip6};
      std::ranges::copy(value, ip.bytes.begin());
      return head + "/" + ip.to_text();
    }
    case Form::text: return head + "/" + string_of(value);
    case Form::http_path: return head + "/" + percent_encode(value);
    case Form::path: return head + string_of(value);
    case Form::peer: return head + "/" + base58_encode(value);
    case Form::multihash: return head + "/u" + base64url_encode(value);
  }
  return head;
}

Result<Bytes> components_from_text(std::string_view text) {
  if (text.size() > kMultiaddrTextMax) return fail(PeerErrc::too_large, "multiaddr text");
  if (!text.starts_with('/')) return fail(PeerErrc::malformed, "a multiaddr starts with a slash");
  if (text.ends_with('/')) text.remove_suffix(1);
  if (text.empty()) return fail(PeerErrc::malformed, "empty multiaddr");
  // `rest` is empty, or begins with the slash of its next part.
  auto rest = text;
  auto next_part = [&] {
    rest.remove_prefix(1);
    auto part = rest.substr(0, rest.find('/'));
    rest.remove_prefix(part.size());
    return part;
  };
  Writer writer;
  while (!rest.empty()) {
    auto name = next_part();
    const auto* row = find_row(name);
    if (row == nullptr) return fail(PeerErrc::unsupported, "multiaddr protocol " + escape_text(name, 32));
    std::string_view value;
    if (row->form != Form::none) {
      if (rest.empty()) return fail(PeerErrc::malformed, std::string(name) + " without a value");
      value = row->form == Form::path ? std::exchange(rest, {}) : next_part();
    }
    NMP_TRY(auto bytes, value_from_text(row->form, value));
    write_component(writer, row->protocol, bytes);
  }
  return writer.take();
}

}  // namespace nmp::libp2p
