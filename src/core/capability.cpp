#include "core/capability.hpp"

#include <algorithm>

#include "base/encoding.hpp"
#include "core/errc.hpp"
#include "core/limits.hpp"
#include "libp2p/peer/cid.hpp"

namespace nmp::core {
namespace {

bool is_start(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_middle(char c) { return is_start(c) || c == '.' || c == '_' || c == '-'; }

libp2p::Multihash hash_of(std::string_view name) {
  NMP_ASSERT(is_name(name));
  return libp2p::Multihash::sha2_256(bytes_of("/nmp/capability/" + std::string(name)));
}

}  // namespace

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kNameBytesMax && is_start(text.front()) &&
         std::ranges::all_of(text, is_middle);
}

Result<void> check_name(std::string_view text, std::string_view what) {
  if (is_name(text)) return {};
  return fail(Errc::bad_name, std::string(what) + " " + escape_text(text, kNameBytesMax));
}

Bytes capability_key(std::string_view name) { return hash_of(name).bytes(); }

std::string capability_hash(std::string_view name) {
  return libp2p::Cid{.codec = libp2p::kRawCodec, .hash = hash_of(name)}.to_text();
}

bool names_capability(std::string_view field, std::string_view name) {
  return is_name(name) && (field == name || field == capability_hash(name));
}

}  // namespace nmp::core
