// fuzz: USES core
#include "core/capability.hpp"
#include "core/did.hpp"
#include "core/session_token.hpp"
#include "core/trust.hpp"

/// DIDs and tokens have one spelling; a trust file holds what it names.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nmp;
  const auto text = text_of(view_of(data, size));
  if (const auto key = core::parse_did(text)) NMP_ASSERT(core::did_of(*key) == text);
  if (const auto token = core::SessionToken::parse(text)) NMP_ASSERT(token->to_text() == text);
  if (core::is_name(text)) NMP_ASSERT(core::names_capability(core::capability_hash(text), text));
  if (const auto file = core::TrustFile::parse(text)) {
    for (const auto& peer : file->peers()) NMP_ASSERT(file->find(peer.peer) == &peer);
  }
  return 0;
}
