#include "kad_mode.hpp"

#include <nlohmann/json.hpp>

#include "base/encoding.hpp"

namespace nmp::interop {
namespace {

class AnyValue final : public libp2p::kad::Validator {
 public:
  [[nodiscard]] Result<void> validate(ByteView /*key*/, ByteView /*value*/, UnixSeconds /*now*/) const override {
    return {};
  }
  [[nodiscard]] std::size_t select(ByteView /*key*/, std::span<const Bytes> values) const override {
    return values.size() - 1;
  }
};

}  // namespace

std::unique_ptr<libp2p::Dht> make_dht(libp2p::Host& host,
                                      std::string protocol,
                                      bool server,
                                      std::vector<libp2p::PeerInfo> join) {
  libp2p::DhtOptions options;
  libp2p::kad::Validators validators;
  validators.add("nmp", std::make_unique<AnyValue>());
  options.policy = std::make_unique<libp2p::kad::RoutingPolicy>(std::move(protocol), std::move(validators));
  options.mode = server ? libp2p::kad::Mode::server : libp2p::kad::Mode::client;
  options.diversity = false;
  options.bootstrap = std::move(join);
  return std::make_unique<libp2p::Dht>(host, std::move(options));
}

async::Awaitable<Result<nlohmann::json>> run_kad(libp2p::Dht& dht, KadTask task, Instant deadline) {
  nlohmann::json result;
  NMP_CO_TRY(const auto members, co_await dht.bootstrap(deadline));
  if (members == 0) co_return fail(Errc::unavailable, "the table is empty after bootstrap");
  if (task.what == "kad-provide") {
    NMP_CO_TRY(const auto sent, co_await dht.provide(std::move(task.key), deadline));
    result["requests"] = sent;
    co_return result;
  }
  if (task.what == "kad-put") {
    NMP_CO_TRY(const auto confirmed, co_await dht.put_value(std::move(task.key), std::move(task.value), deadline));
    result["requests"] = confirmed;
    co_return result;
  }
  if (task.what == "kad-get") {
    NMP_CO_TRY(const auto value, co_await dht.get_value(std::move(task.key), deadline));
    result["values"] = std::vector{hex_encode(value)};
    co_return result;
  }
  if (task.what != "kad-find") co_return fail(Errc::unsupported, task.what);
  libp2p::Dht::ProviderFound all = [](const libp2p::PeerInfo&) { return true; };
  auto found = co_await dht.find_providers(std::move(task.key), 0, std::move(all), deadline);
  if (!found && found.error().code == make_error_code(Errc::not_found))
    co_return fail(Errc::not_found, "no provider found");
  if (!found) co_return fail(std::move(found).error());
  std::vector<std::string> providers;
  std::vector<std::string> addresses;
  for (const auto& provider : *found) {
    providers.push_back(provider.id.to_text());
    for (const auto& address : provider.addresses) addresses.push_back(address.with_peer(provider.id).to_text());
  }
  result["providers"] = providers;
  result["provider_addrs"] = addresses;
  co_return result;
}

}  // namespace nmp::interop
