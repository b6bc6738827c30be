#include "libp2p/kad/lookup.hpp"

#include <algorithm>

namespace nmp::libp2p::kad {

Lookup::Lookup(const Key& target,
               const PeerId& self,
               const std::vector<PeerInfo>& seeds,
               RoutingPolicy& policy,
               LookupOptions options,
               Instant now)
    : target_(target), self_(self), policy_(policy), options_(options), started_(now) {
  paths_.resize(std::clamp<std::size_t>(std::min({options.paths, options.alpha, seeds.size()}), 1, kPathsMax));
  std::size_t path = 0;
  for (const auto& seed : seeds) add(path++ % paths_.size(), seed, 1);
  settle(now);
}

void Lookup::add(std::size_t path, const PeerInfo& peer, std::size_t depth) {
  if (peer.id == self_ || peer.addresses.empty()) return;
  auto& to = paths_[path];
  if (auto* known = find(peer.id)) {
    if (known->state == State::heard) {
      // Somebody may have named it with wrong addresses only, to have it pass for unreachable.
      for (const auto& address : peer.addresses) {
        auto& have = known->info.addresses;
        if (have.size() < kAddressesPeerMax && std::ranges::find(have, address) == have.end()) have.push_back(address);
      }
    }
    if (to.known.contains(known->place)) return;
    if (known->state == State::heard && !(make_room(to, *known) && make_group_room(to, *known))) return;
    to.known.emplace(known->place, known);
    ++known->known_by;
    return;
  }
  auto key = Key::of(peer.id);
  Candidate candidate{peer, Place{policy_.distance(target_, key), key}, {}, State::heard, path, 1, depth, kNever};
  if (options_.diversity) candidate.groups = groups_of(peer.addresses);
  if (!make_room(to, candidate) || !make_group_room(to, candidate)) return;
  auto& kept = candidates_.emplace(peer.id, std::move(candidate)).first->second;
  to.known.emplace(kept.place, &kept);
}

/// A full path takes only a closer peer, for the farthest that nobody has asked.
bool Lookup::make_room(Path& path, const Candidate& newcomer) {
  if (path.known.size() < std::max<std::size_t>(options_.peers_max / paths_.size(), 1)) return true;
  auto last = std::prev(path.known.end());
  while (last != path.known.begin() && last->second->state != State::heard) --last;
  if (last->second->state != State::heard || last->first < newcomer.place) return false;
  drop(path, last);
  return true;
}

/// Likewise for a full IP group. Those that did not answer do not count: a peer's addresses are hearsay until then, and
/// a liar could fill a group with names that nobody answers to.
bool Lookup::make_group_room(Path& path, const Candidate& newcomer) {
  for (auto group : newcomer.groups) {
    std::size_t members = 0;
    auto farthest = path.known.end();
    for (auto at = path.known.begin(); at != path.known.end(); ++at) {
      const auto& candidate = *at->second;
      if (candidate.state == State::unreachable || std::ranges::find(candidate.groups, group) == candidate.groups.end())
        continue;
      ++members;
      if (candidate.state == State::heard) farthest = at;
    }
    auto limit = group.width() == IpGroup::Width::wide ? options_.wide_max : options_.narrow_max;
    if (members < limit) continue;
    if (farthest == path.known.end() || farthest->first < newcomer.place) return false;
    drop(path, farthest);
  }
  return true;
}

void Lookup::drop(Path& path, std::map<Place, Candidate*>::iterator known) {
  auto* candidate = known->second;
  path.known.erase(known);
  if (--candidate->known_by == 0) candidates_.erase(PeerId(candidate->info.id));
}

Lookup::Candidate* Lookup::find(const PeerId& peer) {
  auto found = candidates_.find(peer);
  return found == candidates_.end() ? nullptr : &found->second;
}

/// Of those that may be asked now, the policy's choice.
Lookup::Candidate* Lookup::choose(Path& path) {
  std::vector<Hop> hops;
  std::vector<Candidate*> candidates;
  std::size_t reachable = 0;
  for (auto& [place, candidate] : path.known) {
    if (candidates.size() == options_.k || (path.following_up && reachable == options_.k)) break;
    if (candidate->state != State::unreachable) ++reachable;
    if (candidate->state != State::heard) continue;
    hops.push_back(Hop{candidate->info, candidate->place.distance, candidate->depth});
    candidates.push_back(candidate);
  }
  if (hops.empty()) return nullptr;
  auto index = policy_.next_hop(hops);
  return candidates[index < candidates.size() ? index : 0];
}

std::vector<PeerInfo> Lookup::next(Instant now) {
  std::vector<PeerInfo> chosen;
  if (done_) return chosen;
  auto share = (options_.alpha + paths_.size() - 1) / paths_.size();
  for (bool any = true; any && waiting_ < options_.alpha;) {
    any = false;
    for (std::size_t i = 0; i < paths_.size() && waiting_ < options_.alpha; ++i) {
      auto& path = paths_[i];
      if (path.done || path.waiting >= share) continue;
      auto* candidate = choose(path);
      if (candidate == nullptr) continue;
      any = true;
      candidate->state = State::waiting;
      candidate->path = i;
      candidate->timeout = now + options_.request_timeout;
      ++path.waiting;
      ++waiting_;
      ++stats_.messages;
      chosen.push_back(candidate->info);
    }
  }
  return chosen;
}

void Lookup::on_answer(const PeerId& peer, std::span<const PeerInfo> closer, Instant now) {
  if (done_) return;
  auto* candidate = find(peer);
  if (candidate == nullptr || candidate->state == State::heard || candidate->state == State::queried) return;
  if (candidate->state == State::waiting) {
    --waiting_;
    --paths_[candidate->path].waiting;
  } else {
    --stats_.peers_failed;
  }
  candidate->state = State::queried;
  ++stats_.peers_queried;
  auto path = candidate->path;
  auto depth = candidate->depth + 1;
  for (const auto& found : closer.first(std::min(closer.size(), kPeersPerAnswerMax))) add(path, found, depth);
  settle(now);
}

void Lookup::give_up(Candidate& candidate) {
  candidate.state = State::unreachable;
  --waiting_;
  --paths_[candidate.path].waiting;
  ++stats_.peers_failed;
}

void Lookup::on_failure(const PeerId& peer, Instant now) {
  if (done_) return;
  auto* candidate = find(peer);
  if (candidate == nullptr || candidate->state != State::waiting) return;
  give_up(*candidate);
  settle(now);
}

void Lookup::on_timer(Instant now) {
  if (done_) return;
  if (now >= options_.deadline) {
    finish(now, /*cut_short=*/true);
    return;
  }
  for (auto& [id, candidate] : candidates_)
    if (candidate.state == State::waiting && now >= candidate.timeout) give_up(candidate);
  settle(now);
}

Instant Lookup::deadline() const {
  if (done_) return kNever;
  auto first = options_.deadline;
  for (const auto& [id, candidate] : candidates_)
    if (candidate.state == State::waiting) first = std::min(first, candidate.timeout);
  return first;
}

void Lookup::stop(Instant now) {
  if (!done_) finish(now, /*cut_short=*/true);
}

void Lookup::settle(Instant now) {
  if (done_) return;
  // The reachable ones in order of distance: do the first `count` of them all have answered?
  auto all_queried = [](const Path& path, std::size_t count) {
    for (const auto& [place, candidate] : path.known) {
      if (count == 0) break;
      if (candidate->state == State::unreachable) continue;
      if (candidate->state != State::queried) return false;
      --count;
    }
    return true;
  };
  for (auto& path : paths_) {
    if (!path.following_up) path.following_up = all_queried(path, options_.beta);
    // Not for good: a late answer of one of its peers may name closer ones, and then it goes on.
    path.done = path.following_up && all_queried(path, options_.k);
  }
  if (std::ranges::all_of(paths_, &Path::done)) finish(now, /*cut_short=*/false);
}

void Lookup::finish(Instant now, bool cut_short) {
  done_ = true;
  cut_short_ = cut_short;
  ended_ = now;
}

std::vector<PeerInfo> Lookup::closest(std::size_t count) const {
  if (count == 0) count = options_.k;
  std::vector<std::vector<const Candidate*>> answered(paths_.size());
  for (std::size_t i = 0; i < paths_.size(); ++i)
    for (const auto& [place, candidate] : paths_[i].known)
      if (candidate->state == State::queried && answered[i].size() < count) answered[i].push_back(candidate);
  std::map<Place, const Candidate*> taken;
  for (std::size_t rank = 0; rank < count; ++rank)
    for (const auto& path : answered)
      if (rank < path.size() && taken.size() < count) taken.emplace(path[rank]->place, path[rank]);
  std::vector<PeerInfo> peers;
  peers.reserve(taken.size());
  for (const auto& [place, candidate] : taken) peers.push_back(candidate->info);
  return peers;
}

std::size_t Lookup::depth(const PeerId& peer) const {
  auto found = candidates_.find(peer);
  return found == candidates_.end() ? 0 : found->second.depth;
}

std::optional<std::size_t> Lookup::path(const PeerId& peer) const {
  auto found = candidates_.find(peer);
  return found == candidates_.end() ? std::nullopt : std::optional(found->second.path);
}

LookupStats Lookup::stats(Instant now) const {
  auto stats = stats_;
  stats.duration = (done_ ? ended_ : now) - started_;
  const Candidate* nearest = nullptr;
  for (const auto& path : paths_)
    for (const auto& [place, candidate] : path.known) {
      if (candidate->state != State::queried) continue;
      if (nearest == nullptr || place < nearest->place) nearest = candidate;
      break;
    }
  if (nearest != nullptr) stats.hops = nearest->depth;
  return stats;
}

}  // namespace nmp::libp2p::kad
