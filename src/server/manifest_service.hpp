#pragma once

#include "base/async/task_group.hpp"
#include "base/time.hpp"
#include "core/manifest.hpp"
#include "libp2p/host/host.hpp"
#include "server/config.hpp"
#include "store/store.hpp"

namespace nmp::server {

/// Answers /nmp/manifest/1.0.0 with the node's signed manifest, and signs a new one before the old expires.
/// Network thread only.
class ManifestService {
 public:
  /// Signs the first manifest. The parts outlive the service. Errors: store's, core's.
  static Result<std::unique_ptr<ManifestService>> make(libp2p::Host& host,
                                                       const Config& config,
                                                       store::Store& store,
                                                       const Clock& clock);

  [[nodiscard]] const core::ReceivedManifest& current() const { return current_; }
  /// Signs a new manifest when half of the old one's life has passed. Errors: as make(); the old one stays in force.
  Result<void> refresh();
  /// One answer.
  async::Awaitable<void> serve(libp2p::StreamPtr stream);

 private:
  ManifestService(
      libp2p::Host& host, const Config& config, store::Store& store, const Clock& clock, core::ReceivedManifest first)
      : host_(host), config_(config), store_(store), clock_(clock), current_(std::move(first)) {}
  static Result<core::ReceivedManifest> sign(libp2p::Host& host,
                                             const Config& config,
                                             store::Store& store,
                                             UnixSeconds now);

  libp2p::Host& host_;
  const Config& config_;
  store::Store& store_;
  const Clock& clock_;
  core::ReceivedManifest current_;
};

}  // namespace nmp::server
