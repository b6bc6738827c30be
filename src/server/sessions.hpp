#pragma once

#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "core/authorization.hpp"
#include "crypto/hash.hpp"
#include "libp2p/peer/peer_id.hpp"
#include "server/limits.hpp"

namespace nmp::server {

/// Names a session towards the engine; not a secret.
using SessionId = ByteArray<16>;

/// A negotiated right to run, as the node outside the engine knows it. The keys are the engine's.
struct Session {
  explicit Session(libp2p::PeerId who) : agent(std::move(who)) {}
  SessionId id{};
  crypto::Digest token_hash{};
  libp2p::PeerId agent;     ///< Who signed the intent.
  bool over_libp2p = true;  ///< The connection's peer is the agent; on the loopback listener there is no such peer.
  std::string op;           ///< Of the intent.
  std::string capability;
  crypto::Digest module_hash{};
  core::Authorization limits;  ///< Effective.
  bool has_grant = false;
  Instant expires{};
  std::uint32_t runs_left = 1;
  int failed_opens = 0;
};

/// The sessions of a node, as a value. Unknown, expired, spent and another peer's session are one reason, and asking
/// changes nothing (security rules, "Session token").
class SessionTable {
 public:
  explicit SessionTable(std::size_t sessions_max = kSessionsMax, std::size_t per_caller_max = kSessionsPerCallerMax)
      : sessions_max_(sessions_max), per_caller_max_(per_caller_max) {}

  /// Errors: Errc::exhausted, naming the ceiling. Nothing live is evicted.
  Result<void> add(Session session, Instant now);

  /// The session that this caller may use now; `caller` is the connection's peer, none on the loopback listener.
  /// Errors: Errc::not_found.
  Result<Session> find(const crypto::Digest& token_hash,
                       const std::optional<libp2p::PeerId>& caller,
                       Instant now) const;

  /// The engine opened the first box of a run: one use is spent. With the last use the token is forgotten.
  void opened(const SessionId& id);
  /// A box did not open. True when the session is erased for it: the engine must drop its keys.
  [[nodiscard]] bool open_failed(const SessionId& id);
  void erase(const SessionId& id);

  /// Takes out what has expired: the engine must drop their keys.
  [[nodiscard]] std::vector<SessionId> expire(Instant now);
  [[nodiscard]] std::size_t size() const { return sessions_.size(); }

 private:
  std::size_t sessions_max_;
  std::size_t per_caller_max_;
  std::map<crypto::Digest, Session> sessions_;  // by token hash
  std::map<SessionId, crypto::Digest> by_id_;
};

}  // namespace nmp::server
