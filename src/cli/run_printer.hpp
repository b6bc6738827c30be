#pragma once

#include <nlohmann/json.hpp>

#include "base/async/pool.hpp"
#include "cli/output.hpp"
#include "client/agent.hpp"

namespace nmp::cli {

[[nodiscard]] nlohmann::json limits_json(const core::Authorization& limits);
[[nodiscard]] nlohmann::json used_json(const core::Usage& used);

/// Prints on a thread of its own: a reader of stdout that takes its time holds the guest, not the network.
class RunPrinter final : public client::RunObserver {
 public:
  explicit RunPrinter(Output& output) : output_(output) {}
  RunPrinter(const RunPrinter&) = delete;
  RunPrinter& operator=(const RunPrinter&) = delete;
  ~RunPrinter() override { pool_.stop(); }

  void step(const libp2p::PeerId& node, std::string_view what) override;
  async::Awaitable<void> event(const libp2p::PeerId& node, std::uint64_t sequence, ByteView data) override;
  /// A run's result or failure. The outcome outlives the call.
  async::Awaitable<void> outcome(const client::RunOutcome& outcome);

 private:
  Output& output_;
  async::Pool pool_{1};
};

}  // namespace nmp::cli
