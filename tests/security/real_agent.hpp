#pragma once

#include "client/exchange.hpp"
#include "tests/security/raw_agent.hpp"

/// The agent's own code path, over a channel at whose far end a test has put what it likes.
namespace nmp::security {

inline client::RunRequest run_request() {
  client::RunRequest request;
  request.capability = "scan";
  request.module = good_filter();
  request.inputs["secret"] = to_bytes(std::string_view("the agent's secret words"));
  request.limits = asked_limits();
  return request;
}

/// What came of negotiation and run.
struct Tried {
  std::string result;  ///< The evidence, or the reason.
  std::string words;
  bool from_node = false;
  std::size_t events = 0;
  Bytes receipt;
};

/// The agent `agent` runs run_request() with the node `node`.
inline Awaitable<Tried> attempt(World& world,
                                std::shared_ptr<rpc::Channel> channel,
                                libp2p::PeerId node,
                                std::uint8_t agent) {
  class Events final : public client::RunObserver {
   public:
    Awaitable<void> event(const libp2p::PeerId&, std::uint64_t, ByteView) override {
      ++count;
      co_return;
    }
    std::size_t count = 0;
  };
  auto identity = key_of(agent);
  auto request = run_request();
  Events observer;
  Tried out;
  auto failed = [&out](const client::Failure& why) {
    out.result = why.reason->reason;
    out.words = why.message;
    out.from_node = why.from_node;
  };
  std::optional<crypto::Digest> manifest = world.manifest_hash;
  auto session = co_await client::negotiate_over(*channel, node, identity, manifest, request, in(20s));
  if (!session) {
    failed(session.error());
    co_return out;
  }
  auto executed = co_await client::execute_over(*channel, **session, in(20s), observer);
  out.events = observer.count;
  if (!executed) {
    failed(executed.error());
    co_return out;
  }
  out.receipt = executed->outcome.receipt;
  out.result = executed->outcome.reason.empty() ? string_of(executed->outcome.evidence) : executed->outcome.reason;
  co_return out;
}

}  // namespace nmp::security
