#include "libp2p/dial/resolution.hpp"

#include <algorithm>

#include "libp2p/dial/limits.hpp"

namespace nmp::libp2p::dial {

namespace {

/// Whether `address` ends in the components of `query` behind its name.
bool ends_as(const Multiaddr& address, const Multiaddr& query) {
  const auto end = query.components();
  const auto all = address.components();
  const auto same = [](const Multiaddr::Component& a, const Multiaddr::Component& b) {
    return a.protocol == b.protocol && equal(a.value, b.value);
  };
  return all.size() >= end.size() - 1 && std::equal(end.rbegin(), end.rend() - 1, all.rbegin(), same);
}

}  // namespace

Resolution::Resolution(const std::vector<Multiaddr>& addresses, const PeerId& peer) : peer_(peer) {
  for (const auto& address : addresses) {
    const auto named = address.peer_id();
    if (!named || *named == peer) take(address.with_peer(peer), 0);
  }
}

void Resolution::take(const Multiaddr& address, std::size_t depth) {
  if (!seen_.insert(address).second) return;
  const auto name = address.dns_name();
  if (!name || address.is_circuit()) {
    if (++found_count_ > kResolvedMax) return;
    if (auto plain = address.without_peer()) found_.push_back(*std::move(plain));
    return;
  }
  if (depth == kNameDepthMax) return;
  switch (address.components().front().protocol) {
    case Protocol::dnsaddr: return ask(Kind::text, "_dnsaddr." + *name, address, depth);
    case Protocol::dns4: return ask(Kind::ip4, *name, address, depth);
    case Protocol::dns6: return ask(Kind::ip6, *name, address, depth);
    default: ask(Kind::ip6, *name, address, depth); ask(Kind::ip4, *name, address, depth);
  }
}

void Resolution::ask(Kind kind, std::string name, const Multiaddr& address, std::size_t depth) {
  if (ids_ == kQuestionsMax) return;
  const auto id = ++ids_;
  asked_.emplace(id, Asked{kind, address, depth});
  questions_.push_back({id, kind, std::move(name)});
}

std::vector<Resolution::Question> Resolution::take_questions() { return std::exchange(questions_, {}); }
std::vector<Multiaddr> Resolution::take_addresses() { return std::exchange(found_, {}); }

void Resolution::on_addresses(std::size_t id, std::span<const IpAddress> addresses) {
  const auto node = asked_.extract(id);
  if (node.empty()) return;
  const auto& asked = node.mapped();
  std::size_t taken = 0;
  for (const auto& ip : addresses) {
    if (ip.v6 != (asked.kind == Kind::ip6) || asked.kind == Kind::text) continue;
    if (++taken > kAddressesPerNameMax) return;
    take(asked.address.with_ip(ip), asked.depth + 1);
  }
}

void Resolution::on_texts(std::size_t id, std::span<const std::string> texts) {
  const auto node = asked_.extract(id);
  if (node.empty() || node.mapped().kind != Kind::text) return;
  const auto& asked = node.mapped();
  constexpr std::string_view kPrefix = "dnsaddr=";
  for (std::string_view text : texts.first(std::min(texts.size(), kTextsPerNameMax))) {
    if (!text.starts_with(kPrefix)) continue;
    const auto address = Multiaddr::parse(text.substr(kPrefix.size()));
    if (address && ends_as(*address, asked.address)) take(*address, asked.depth + 1);
  }
}

}  // namespace nmp::libp2p::dial
