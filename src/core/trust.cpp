#include "core/trust.hpp"

#include <algorithm>

#include "base/encoding.hpp"
#include "core/did.hpp"
#include "core/errc.hpp"
#include "core/limits.hpp"

namespace nmp::core {
namespace {

constexpr std::string_view kBlank = " \t\r";

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

}  // namespace

Result<TrustFile> TrustFile::parse(std::string_view text) {
  if (text.size() > kTrustFileBytesMax) return fail(nmp::Errc::too_large, "trust file");
  TrustFile out;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const auto end = text.find('\n');
    auto line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    line = trimmed(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    const auto blank = line.find_first_of(kBlank);
    const auto id = line.substr(0, blank);
    const auto name = blank == std::string_view::npos ? std::string_view() : trimmed(line.substr(blank));
    auto peer = id.starts_with("did:") ? peer_of_did(id) : libp2p::PeerId::parse(id);
    if (!peer || !peer->ed25519_key()) {
      return fail(Errc::bad_trust_file, "line " + std::to_string(number) + ": not an Ed25519 peer ID or DID");
    }
    if (out.find(*peer) != nullptr)
      return fail(Errc::bad_trust_file, "line " + std::to_string(number) + ": a peer twice");
    out.peers_.push_back({.peer = *peer, .name = escape_text(name)});
  }
  return out;
}

const TrustedPeer* TrustFile::find(const libp2p::PeerId& peer) const {
  const auto found = std::ranges::find(peers_, peer, &TrustedPeer::peer);
  return found == peers_.end() ? nullptr : &*found;
}

}  // namespace nmp::core
