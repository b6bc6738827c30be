#include "bench.hpp"
#include "crypto/random.hpp"
#include "dispatcher.hpp"

namespace nmp::bench {

namespace {

std::unexpected<Error> fail_with(const client::Failure& failure) {
  return fail(Errc::unavailable, std::string(failure.reason->reason) + ": " + failure.message);
}

class QuicDispatcher final : public Dispatcher {
 public:
  QuicDispatcher(std::unique_ptr<client::Agent> agent, libp2p::PeerInfo node)
      : agent_(std::move(agent)), node_(std::move(node)) {}

  async::Awaitable<Result<void>> negotiate(const client::RunRequest& request) override {
    auto session = co_await agent_->negotiate(node_, request, in(kPatience), observer_);
    if (!session) co_return fail_with(session.error());
    session_ = std::move(*session);
    co_return Result<void>();
  }
  async::Awaitable<Result<client::RunOutcome>> execute() override {
    auto outcome = co_await agent_->execute(*session_, in(kPatience), observer_);
    if (!outcome) co_return fail_with(outcome.error());
    if (!outcome->reason.empty()) co_return fail(Errc::unavailable, outcome->reason + ": " + outcome->explanation);
    co_return std::move(*outcome);
  }
  async::Awaitable<void> close() override { co_await agent_->close(); }

 private:
  std::unique_ptr<client::Agent> agent_;
  libp2p::PeerInfo node_;
  client::RunObserver observer_;
  client::SessionPtr session_;
};

}  // namespace

Result<DispatcherPtr> quic_dispatcher(async::Executor executor, libp2p::PeerInfo node, std::filesystem::path state) {
  client::AgentOptions options(libp2p::KeyPair::generate(crypto::system_random()));
  options.state = std::move(state);
  NMP_TRY(auto agent, client::Agent::make(std::move(executor), std::move(options)));
  return std::make_unique<QuicDispatcher>(std::move(agent), std::move(node));
}

}  // namespace nmp::bench
