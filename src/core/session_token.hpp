#pragma once

#include <string>
#include <string_view>

#include "base/random.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "crypto/hash.hpp"

namespace nmp::core {

/// 32 random bytes; on the wire 43 base64url characters. The node keeps only the hash.
class SessionToken {
 public:
  static SessionToken generate(Random& random);
  /// Strict: 43 characters, spare bits zero. Errors: Errc::bad_token.
  static Result<SessionToken> parse(std::string_view text);

  [[nodiscard]] std::string to_text() const;
  /// H(the 32 bytes).
  [[nodiscard]] crypto::Digest hash() const;

 private:
  SecretBytes<32> secret_;
};

}  // namespace nmp::core
