#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "libp2p/resources/usage.hpp"

namespace nmp::libp2p::resources {

/// What happened, for logs and metrics of whoever owns the manager. Calls come from within the manager's: they only
/// take note. Strangers can cause all of it at will.
class Observer {
 public:
  virtual ~Observer() = default;
  /// Somebody was refused; `why` names scope, limit and use.
  virtual void on_refused(const Error& /*why*/) {}
};

/// The observer of those who do not look.
Observer& silent_observer();

/// One scope at one moment.
struct ScopeReport {
  std::string name;  ///< "system", "transient", "protocol /ipfs/ping/1.0.0", "peer 12D3.."
  Usage usage;
  Limit limit;
  std::uint64_t refused = 0;  ///< requests, since the scope exists
};

struct Snapshot {
  ScopeReport system;
  ScopeReport transient;
  std::vector<ScopeReport> protocols;  ///< in use now
  std::vector<ScopeReport> peers;      ///< connected now
  std::uint64_t refused_subnets = 0;   ///< connections, by their address
};

}  // namespace nmp::libp2p::resources
