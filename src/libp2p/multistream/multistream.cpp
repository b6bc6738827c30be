#include "libp2p/multistream/multistream.hpp"

#include "base/codec.hpp"
#include "base/encoding.hpp"

namespace nmp::libp2p::multistream {

std::error_code make_error_code(Errc code) {
  static const EnumCategory<Errc> category("multistream", [](Errc value) -> std::string_view {
    switch (value) {
      case Errc::bad_token: return "bad_token";
      case Errc::no_common_protocol: return "no_common_protocol";
      case Errc::too_many_proposals: return "too_many_proposals";
    }
    return "unknown";
  });
  return {static_cast<int>(code), category};
}

Bytes encode_token(std::string_view text) {
  NMP_ASSERT(text.size() < kTokenBytesMax);
  Writer out;
  out.uvarint(text.size() + 1).text(text).text("\n");
  return out.take();
}

Result<std::optional<std::string>> TokenReader::feed(ByteView& input) {
  while (!size_) {
    if (input.empty()) return std::nullopt;
    length_.push_back(input.front());
    input = input.subspan(1);
    if ((length_.back() & std::byte{0x80}) != std::byte{0}) {
      // 1024 takes two bytes.
      if (length_.size() >= 2) return fail(Errc::bad_token, "length");
      continue;
    }
    Reader reader(length_);
    auto size = reader.uvarint();
    if (!size || *size == 0 || *size > kTokenBytesMax) return fail(Errc::bad_token, "length");
    size_ = static_cast<std::size_t>(*size);
  }
  auto piece = input.first(std::min(input.size(), *size_ - text_.size()));
  append(text_, piece);
  input = input.subspan(piece.size());
  if (text_.size() < *size_) return std::nullopt;
  if (text_.back() != std::byte{'\n'}) return fail(Errc::bad_token, "newline");
  text_.pop_back();
  auto token = string_of(text_);
  length_.clear();
  text_.clear();
  size_.reset();
  return std::optional(std::move(token));
}

Dialer::Dialer(std::vector<std::string> protocols) : protocols_(std::move(protocols)) {
  NMP_ASSERT(!protocols_.empty());
  output_ = encode_token(kHeader);
  append(output_, encode_token(protocols_.front()));
}

Result<std::optional<std::string>> Dialer::feed(ByteView& input) {
  for (;;) {
    NMP_TRY(auto token, reader_.feed(input));
    if (!token) return std::nullopt;
    if (!header_seen_) {
      if (*token != kHeader) return fail(Errc::bad_token, "header: " + escape_text(*token, 64));
      header_seen_ = true;
    } else if (*token == protocols_[proposed_]) {
      return token;
    } else if (*token != kNotAvailable) {
      return fail(Errc::bad_token, "answer: " + escape_text(*token, 64));
    } else if (++proposed_ == protocols_.size()) {
      return fail(Errc::no_common_protocol);
    } else {
      append(output_, encode_token(protocols_[proposed_]));
    }
  }
}

Listener::Listener(Known known) : known_(std::move(known)) {}

Result<std::optional<std::string>> Listener::feed(ByteView& input) {
  for (;;) {
    NMP_TRY(auto token, reader_.feed(input));
    if (!token) return std::nullopt;
    if (!header_seen_) {
      if (*token != kHeader) return fail(Errc::bad_token, "header: " + escape_text(*token, 64));
      header_seen_ = true;
      append(output_, encode_token(kHeader));
      continue;
    }
    if (++proposals_ > kProposalsMax) return fail(Errc::too_many_proposals);
    if (known_(*token)) {
      append(output_, encode_token(*token));
      return token;
    }
    append(output_, encode_token(kNotAvailable));
  }
}

}  // namespace nmp::libp2p::multistream
