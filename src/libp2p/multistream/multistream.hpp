#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "libp2p/multistream/limits.hpp"

/// multistream-select 1.0 (github.com/multiformats/multistream-select; libp2p.md section 4): how the two ends of a
/// stream agree on a protocol. `ls` is answered with `na`, as go does.
namespace nmp::libp2p::multistream {

inline constexpr std::string_view kHeader = "/multistream/1.0.0";
inline constexpr std::string_view kNotAvailable = "na";

enum class Errc {
  bad_token = 1,       ///< Empty, too long, without its newline, or not what may stand here.
  no_common_protocol,  ///< Every proposal was refused.
  too_many_proposals,
};
std::error_code make_error_code(Errc code);

/// uvarint length, text, newline. `text` is shorter than kTokenBytesMax.
[[nodiscard]] Bytes encode_token(std::string_view text);

/// Cuts tokens off the front of a stream that arrives in pieces. Holds at most one token.
class TokenReader {
 public:
  /// Eats from the front of `input`; a value is the next token without its newline. Never eats beyond that token.
  /// Errors: Errc::bad_token, after which the reader is of no use.
  Result<std::optional<std::string>> feed(ByteView& input);

 private:
  Bytes length_;
  Bytes text_;
  std::optional<std::size_t> size_;
};

/// The opener's side: proposes one after the other. Its first write carries the header and the first proposal, so that
/// with a single candidate application data may follow at once (lazy).
class Dialer {
 public:
  /// `protocols` is not empty and each is shorter than kTokenBytesMax.
  explicit Dialer(std::vector<std::string> protocols);

  /// What has to be sent now; empties it.
  [[nodiscard]] Bytes take_output() { return std::exchange(output_, {}); }
  /// Eats the answer's tokens and nothing after them. A value is the agreed protocol.
  /// Errors: Errc::bad_token, no_common_protocol.
  Result<std::optional<std::string>> feed(ByteView& input);

 private:
  std::vector<std::string> protocols_;
  std::size_t proposed_ = 0;
  bool header_seen_ = false;
  Bytes output_;
  TokenReader reader_;
};

/// The other side: accepts the first proposal that it knows.
class Listener {
 public:
  using Known = std::function<bool(std::string_view protocol)>;
  explicit Listener(Known known);

  [[nodiscard]] Bytes take_output() { return std::exchange(output_, {}); }
  /// Eats up to the accepted proposal and nothing after it. Errors: Errc::bad_token (a lazy dialler's data after `na`
  /// looks like that), too_many_proposals. What take_output() holds is worth sending even after an error.
  Result<std::optional<std::string>> feed(ByteView& input);

 private:
  Known known_;
  std::size_t proposals_ = 0;
  bool header_seen_ = false;
  Bytes output_;
  TokenReader reader_;
};

}  // namespace nmp::libp2p::multistream

template <>
struct std::is_error_code_enum<nmp::libp2p::multistream::Errc> : std::true_type {};
