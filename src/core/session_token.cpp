#include "core/session_token.hpp"

#include "base/encoding.hpp"
#include "core/errc.hpp"

namespace nmp::core {

SessionToken SessionToken::generate(Random& random) {
  SessionToken out;
  random.fill(out.secret_.mutable_view());
  return out;
}

Result<SessionToken> SessionToken::parse(std::string_view text) {
  if (text.size() != 43) return fail(Errc::bad_token);
  auto bytes = base64url_decode(text);
  if (!bytes || bytes->size() != 32) return fail(Errc::bad_token);
  SessionToken out;
  std::ranges::copy(*bytes, out.secret_.mutable_view().begin());
  erase(*bytes);
  return out;
}

std::string SessionToken::to_text() const { return base64url_encode(secret_.view()); }
crypto::Digest SessionToken::hash() const { return crypto::sha256(secret_.view()); }

}  // namespace nmp::core
