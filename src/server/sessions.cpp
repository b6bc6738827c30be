#include "server/sessions.hpp"

namespace nmp::server {

Result<void> SessionTable::add(Session session, Instant now) {
  std::size_t of_caller = 0;
  std::size_t without_grant = 0;
  for (const auto& [hash, held] : sessions_) {
    if (held.expires <= now) continue;
    if (held.agent == session.agent) ++of_caller;
    if (!held.has_grant) ++without_grant;
  }
  if (of_caller >= per_caller_max_) return fail(Errc::exhausted, "open sessions of this agent");
  if (sessions_.size() >= sessions_max_) return fail(Errc::exhausted, "open sessions of this node");
  if (!session.has_grant && without_grant >= sessions_max_ - sessions_max_ / 4)
    return fail(Errc::exhausted, "open sessions without a grant");
  by_id_.emplace(session.id, session.token_hash);
  auto hash = session.token_hash;
  sessions_.emplace(hash, std::move(session));
  return {};
}

Result<Session> SessionTable::find(const crypto::Digest& token_hash,
                                   const std::optional<libp2p::PeerId>& caller,
                                   Instant now) const {
  auto it = sessions_.find(token_hash);
  if (it == sessions_.end()) return fail(Errc::not_found);
  const auto& session = it->second;
  if (session.expires <= now || session.runs_left == 0) return fail(Errc::not_found);
  if (session.over_libp2p != caller.has_value()) return fail(Errc::not_found);
  if (caller && *caller != session.agent) return fail(Errc::not_found);
  return session;
}

void SessionTable::opened(const SessionId& id) {
  auto it = by_id_.find(id);
  if (it == by_id_.end()) return;
  auto& session = sessions_.at(it->second);
  if (session.runs_left > 0) --session.runs_left;
  if (session.runs_left == 0) erase(id);
}

bool SessionTable::open_failed(const SessionId& id) {
  auto it = by_id_.find(id);
  if (it == by_id_.end()) return false;
  if (++sessions_.at(it->second).failed_opens < kFailedOpensMax) return false;
  erase(id);
  return true;
}

void SessionTable::erase(const SessionId& id) {
  auto it = by_id_.find(id);
  if (it == by_id_.end()) return;
  sessions_.erase(it->second);
  by_id_.erase(it);
}

std::vector<SessionId> SessionTable::expire(Instant now) {
  std::vector<SessionId> gone;
  for (const auto& [hash, session] : sessions_)
    if (session.expires <= now) gone.push_back(session.id);
  for (const auto& id : gone) erase(id);
  return gone;
}

}  // namespace nmp::server
