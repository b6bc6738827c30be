#include "libp2p/kad/server.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>

namespace nmp::libp2p::kad {
namespace {

std::string_view reason_of(const Error& error) {
  if (error.code == Errc::exhausted) return "exhausted";
  if (error.code == Errc::too_large) return "too_large";
  if (error.code == Errc::already_exists) return "older_value";
  if (error.code == Errc::unsupported) return "no_validator";
  if (error.code == Errc::malformed) return "malformed";
  return "invalid_value";
}

}  // namespace

Server::Server(
    RoutingTable& table, const RoutingPolicy& policy, KnownPeer known, ServerOptions options, Observer& observer)
    : table_(table),
      policy_(policy),
      known_(std::move(known)),
      options_(options),
      observer_(observer),
      records_(table.self(), options.records),
      providers_(table.self(), options.providers) {}

Result<std::optional<Message>> Server::answer(const Message& request, const PeerId& from, Now now) {
  observer_.on_request(from, request.type);
  auto refuse = [&](Error error) {
    observer_.on_refused(from, request.type, reason_of(error));
    return fail(std::move(error));
  };
  bool about_providers = request.type == MessageType::get_providers || request.type == MessageType::add_provider;
  auto key_bytes_max = about_providers ? kProviderKeyBytesMax : kKeyBytesMax;
  if (request.type != MessageType::ping && (request.key.empty() || request.key.size() > key_bytes_max))
    return refuse(Error{Errc::malformed, "kad: key"});

  Message reply;
  reply.type = request.type;
  reply.key = request.key;
  switch (request.type) {
    case MessageType::ping: return std::optional(std::move(reply));
    case MessageType::find_node:
      reply.closer_peers = closer_peers(request, from);
      return std::optional(std::move(reply));
    case MessageType::get_value: {
      // Valid once is not valid for ever: signed values have an expiry of their own.
      const auto* held = records_.get(request.key, now.instant);
      if (held != nullptr && policy_.validate(held->key, held->value, now.unix_seconds)) reply.record = *held;
      reply.closer_peers = closer_peers(request, from);
      return std::optional(std::move(reply));
    }
    case MessageType::get_providers:
      reply.provider_peers = providers_.get(request.key, now.instant);
      for (auto& provider : reply.provider_peers)
        if (auto known = known_(provider.id); known && !known->addresses.empty())
          provider.addresses = std::move(known->addresses);
      std::erase_if(reply.provider_peers, [](const PeerInfo& provider) { return provider.addresses.empty(); });
      reply.closer_peers = closer_peers(request, from);
      return std::optional(std::move(reply));
    case MessageType::put_value: {
      auto stored = put_value(request, from, now);
      if (!stored) return refuse(stored.error());
      return stored;
    }
    case MessageType::add_provider: {
      // No answer either way: a refusal is known to the observer only.
      if (auto added = add_provider(request, from, now); !added)
        observer_.on_refused(from, request.type, reason_of(added.error()));
      return std::nullopt;
    }
  }
  return refuse(Error{Errc::unsupported, "kad: type"});
}

Result<std::optional<Message>> Server::put_value(const Message& request, const PeerId& from, Now now) {
  if (!request.record || request.record->key != request.key) return fail(Errc::malformed, "kad: record key");
  const auto& key = request.key;
  NMP_CHECK(policy_.validate(key, request.record->value, now.unix_seconds));
  const auto* held = records_.get(key, now.instant);
  bool contested = held != nullptr && held->value != request.record->value &&
                   policy_.validate(key, held->value, now.unix_seconds).has_value();
  if (contested) {
    std::array<Bytes, 2> values{held->value, request.record->value};
    NMP_TRY(auto selected, policy_.select(key, values));
    if (selected == 0) return fail(Errc::already_exists, "kad: a better value is held");
  }
  Record record{key, request.record->value, rfc3339(now.unix_seconds)};
  NMP_CHECK(records_.put(std::move(record), from, now.instant));
  return std::optional(request);
}

Result<void> Server::add_provider(const Message& request, const PeerId& from, Now now) {
  for (const auto& provider : request.provider_peers) {
    if (provider.id != from || provider.addresses.empty()) continue;
    return providers_.add(request.key, provider, now.instant);
  }
  return fail(Errc::malformed, "kad: no entry of the sender's own");
}

std::vector<PeerInfo> Server::closer_peers(const Message& request, const PeerId& from) const {
  auto peers = table_.closest(Key::of(request.key), options_.k + 1);
  std::erase_if(peers, [&](const PeerInfo& peer) { return peer.id == from; });
  if (request.type == MessageType::find_node) {
    auto target = PeerId::from_bytes(request.key);
    if (target && *target != from && *target != table_.self()) {
      auto known = known_(*target);
      if (known && !known->addresses.empty()) {
        std::erase_if(peers, [&](const PeerInfo& peer) { return peer.id == *target; });
        peers.insert(peers.begin(), *std::move(known));
      }
    }
  }
  if (peers.size() > options_.k) peers.erase(peers.begin() + static_cast<std::ptrdiff_t>(options_.k), peers.end());
  return peers;
}

void Server::expire(Instant now) {
  records_.expire(now);
  providers_.expire(now);
}

std::string rfc3339(UnixSeconds time) {
  using namespace std::chrono;
  sys_seconds moment{seconds(time)};
  auto day = floor<days>(moment);
  year_month_day date{day};
  hh_mm_ss clock{moment - day};
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()));
  return text.data();
}

}  // namespace nmp::libp2p::kad
