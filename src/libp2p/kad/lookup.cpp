#include "libp2p/kad/lookup.hpp"

#include <algorithm>

namespace nmp::libp2p::kad {

Lookup::Lookup(
    const Key& target, const PeerId& self, const std::vector<PeerInfo>& seeds, LookupOptions options, Instant now)
    : target_(target), self_(self), options_(options), started_(now) {
  for (const auto& seed : seeds) add(seed, 1);
  settle(now);
}

void Lookup::add(const PeerInfo& peer, std::size_t depth) {
  if (peer.id == self_ || peer.addresses.empty()) return;
  auto at = distance(target_, Key::of(peer.id));
  if (candidates_.contains(at)) return;
  if (candidates_.size() >= options_.peers_max) {
    // Full: only a closer peer gets in, for the farthest that nobody has asked.
    auto last = std::prev(candidates_.end());
    while (last != candidates_.begin() && last->second.state != State::heard) --last;
    if (last->second.state != State::heard || last->first < at) return;
    candidates_.erase(last);
  }
  candidates_.emplace(at, Candidate{peer, State::heard, depth, kNever});
}

Lookup::Candidate* Lookup::find(const PeerId& peer) {
  auto found = candidates_.find(distance(target_, Key::of(peer)));
  return found == candidates_.end() ? nullptr : &found->second;
}

std::vector<PeerInfo> Lookup::next(Instant now) {
  std::vector<PeerInfo> chosen;
  if (done_) return chosen;
  std::size_t reachable = 0;
  for (auto& [at, candidate] : candidates_) {
    if (waiting_ >= options_.alpha || (following_up_ && reachable == options_.k)) break;
    if (candidate.state != State::unreachable) ++reachable;
    if (candidate.state != State::heard) continue;
    candidate.state = State::waiting;
    candidate.timeout = now + options_.request_timeout;
    ++waiting_;
    ++stats_.messages;
    chosen.push_back(candidate.info);
  }
  return chosen;
}

void Lookup::on_answer(const PeerId& peer, std::span<const PeerInfo> closer, Instant now) {
  if (done_) return;
  auto* candidate = find(peer);
  if (candidate == nullptr || candidate->state == State::heard || candidate->state == State::queried) return;
  if (candidate->state == State::waiting)
    --waiting_;
  else
    --stats_.peers_failed;
  candidate->state = State::queried;
  ++stats_.peers_queried;
  auto depth = candidate->depth + 1;
  for (const auto& found : closer.first(std::min(closer.size(), kPeersPerAnswerMax))) add(found, depth);
  settle(now);
}

void Lookup::on_failure(const PeerId& peer, Instant now) {
  if (done_) return;
  auto* candidate = find(peer);
  if (candidate == nullptr || candidate->state != State::waiting) return;
  candidate->state = State::unreachable;
  --waiting_;
  ++stats_.peers_failed;
  settle(now);
}

void Lookup::on_timer(Instant now) {
  if (done_) return;
  if (now >= options_.deadline) {
    finish(now, /*cut_short=*/true);
    return;
  }
  for (auto& [at, candidate] : candidates_) {
    if (candidate.state != State::waiting || now < candidate.timeout) continue;
    candidate.state = State::unreachable;
    --waiting_;
    ++stats_.peers_failed;
  }
  settle(now);
}

Instant Lookup::deadline() const {
  if (done_) return kNever;
  auto first = options_.deadline;
  for (const auto& [at, candidate] : candidates_)
    if (candidate.state == State::waiting) first = std::min(first, candidate.timeout);
  return first;
}

void Lookup::stop(Instant now) {
  if (!done_) finish(now, /*cut_short=*/true);
}

void Lookup::settle(Instant now) {
  if (done_) return;
  // The reachable ones in order of distance: do the first `count` of them all have answered?
  auto all_queried = [&](std::size_t count) {
    for (const auto& [at, candidate] : candidates_) {
      if (count == 0) break;
      if (candidate.state == State::unreachable) continue;
      if (candidate.state != State::queried) return false;
      --count;
    }
    return true;
  };
  if (!following_up_) following_up_ = all_queried(options_.beta);
  if (following_up_ && all_queried(options_.k)) finish(now, /*cut_short=*/false);
}

void Lookup::finish(Instant now, bool cut_short) {
  done_ = true;
  cut_short_ = cut_short;
  ended_ = now;
}

std::vector<PeerInfo> Lookup::closest() const {
  std::vector<PeerInfo> peers;
  for (const auto& [at, candidate] : candidates_) {
    if (peers.size() == options_.k) break;
    if (candidate.state == State::queried) peers.push_back(candidate.info);
  }
  return peers;
}

std::size_t Lookup::depth(const PeerId& peer) const {
  auto found = candidates_.find(distance(target_, Key::of(peer)));
  return found == candidates_.end() ? 0 : found->second.depth;
}

LookupStats Lookup::stats(Instant now) const {
  auto stats = stats_;
  stats.duration = (done_ ? ended_ : now) - started_;
  for (const auto& [at, candidate] : candidates_) {
    if (candidate.state != State::queried) continue;
    stats.hops = candidate.depth;
    break;
  }
  return stats;
}

}  // namespace nmp::libp2p::kad
