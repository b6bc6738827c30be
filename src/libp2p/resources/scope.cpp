#include "libp2p/resources/scope.hpp"

#include <algorithm>

#include "base/result.hpp"

namespace nmp::libp2p::resources {

Result<void> Scope::check(const Usage& more, Priority priority) const {
  struct Line {
    const char* what;
    std::uint64_t used;
    std::uint64_t more;
    std::uint64_t limit;
  };
  const auto memory_limit = priority == Priority::always || limit_.memory_bytes == Limit::kNoBytes
                                ? limit_.memory_bytes
                                : limit_.memory_bytes / 100 * static_cast<std::uint64_t>(priority);
  const Line lines[] = {
      {"connections in", usage_.connections_in, more.connections_in, limit_.connections_in},
      {"connections out", usage_.connections_out, more.connections_out, limit_.connections_out},
      {"connections", usage_.connections(), more.connections(), limit_.connections},
      {"streams in", usage_.streams_in, more.streams_in, limit_.streams_in},
      {"streams out", usage_.streams_out, more.streams_out, limit_.streams_out},
      {"streams", usage_.streams(), more.streams(), limit_.streams},
      {"descriptors", usage_.descriptors, more.descriptors, limit_.descriptors},
      {"bytes of memory", usage_.memory_bytes, more.memory_bytes, memory_limit},
  };
  for (const auto& line : lines) {
    if (line.more == 0 || (line.used <= line.limit && line.more <= line.limit - line.used)) continue;
    return fail(Errc::exceeded, name_ + ": " + line.what + " " + std::to_string(line.used) + " of " +
                                    std::to_string(line.limit) + ", " + std::to_string(line.more) + " more asked for");
  }
  return {};
}

Result<void> Scope::add(const Usage& more, Priority priority) {
  auto fits = check(more, priority);
  if (fits) {
    usage_ += more;
  } else {
    ++refused_;
  }
  return fits;
}

void Scope::remove(const Usage& less) { usage_ -= less; }

Result<void> Holding::join(ScopePtr scope) {
  NMP_CHECK(scope->add(used_, Priority::always));
  scopes_.push_back(std::move(scope));
  return {};
}

void Holding::leave(const ScopePtr& scope) {
  const auto it = std::ranges::find(scopes_, scope);
  if (it == scopes_.end()) return;
  (*it)->remove(used_);
  scopes_.erase(it);
}

Result<void> Holding::take(const Usage& more, Priority priority) {
  for (std::size_t i = 0; i < scopes_.size(); ++i) {
    auto added = scopes_[i]->add(more, priority);
    if (added) continue;
    while (i > 0) scopes_[--i]->remove(more);
    return added;
  }
  used_ += more;
  return {};
}

void Holding::give_back(const Usage& less) {
  for (const auto& scope : scopes_) scope->remove(less);
  used_ -= less;
}

void Holding::release_all() {
  for (const auto& scope : scopes_) scope->remove(used_);
  scopes_.clear();
  used_ = {};
}

}  // namespace nmp::libp2p::resources
