#include "libp2p/gossipsub/score.hpp"

#include <algorithm>

namespace nmp::libp2p::gossipsub {

namespace {

double square(double value) { return value * value; }

/// Decays that were missed while nothing happened; more change nothing that is left.
constexpr int kCatchUpMax = 10'000;

}  // namespace

const TopicScore& Scores::of_topic(std::string_view topic) const {
  const auto it = parameters_.topics.find(topic);
  return it == parameters_.topics.end() ? parameters_.topic : it->second;
}

Scores::Topic* Scores::find(const PeerId& peer, const std::string& topic) {
  const auto it = peers_.find(peer);
  if (it == peers_.end() || it->second.forget_at) return nullptr;
  auto& topics = it->second.topics;
  const auto known = topics.find(topic);
  if (known != topics.end()) return &known->second;
  if (topics.size() >= kTopicsPerPeerMax) return nullptr;
  return &topics[topic];
}

void Scores::add_peer(const PeerId& peer, std::optional<AddressBlock> block, Instant now) {
  advance(now);
  auto& state = peers_[peer];
  if (std::exchange(state.forget_at, std::nullopt)) {
    --gone_;
  } else {
    leave_block(state);
  }
  state.block = block;
  if (block) ++blocks_[*block];
}

void Scores::leave_block(const Peer& peer) {
  if (!peer.block) return;
  const auto it = blocks_.find(*peer.block);
  if (it != blocks_.end() && --it->second == 0) blocks_.erase(it);
}

void Scores::remove_peer(const PeerId& peer, Instant now) {
  const auto it = peers_.find(peer);
  if (it == peers_.end() || it->second.forget_at) return;
  advance(now);
  auto& state = it->second;
  const bool bad = of(peer) < 0;
  for (const auto& [name, topic] : std::map(state.topics)) left_mesh(peer, name);
  leave_block(state);
  state.block.reset();
  if (!bad || gone_ >= kRetainedScoresMax) {
    peers_.erase(it);
    return;
  }
  // What it did well is gone with it.
  for (auto& [name, topic] : state.topics) topic.first = 0;
  state.forget_at = now + parameters_.retain;
  ++gone_;
}

void Scores::set_application(const PeerId& peer, double value) {
  if (const auto it = peers_.find(peer); it != peers_.end()) it->second.application = value;
}

void Scores::joined_mesh(const PeerId& peer, const std::string& topic, Instant now) {
  auto* state = find(peer, topic);
  if (state == nullptr) return;
  state->in_mesh = true;
  state->since = now;
  state->time = Duration::zero();
  state->deficit_active = false;
  state->delivered = 0;
}

void Scores::left_mesh(const PeerId& peer, const std::string& topic) {
  auto* state = find(peer, topic);
  if (state == nullptr || !state->in_mesh) return;
  const auto& how = of_topic(topic);
  if (state->deficit_active && state->delivered < how.deficit_threshold)
    state->failure += square(how.deficit_threshold - state->delivered);
  state->in_mesh = false;
  state->time = Duration::zero();
}

void Scores::first_delivery(const PeerId& peer, const std::string& topic) {
  auto* state = find(peer, topic);
  if (state == nullptr) return;
  const auto& how = of_topic(topic);
  state->first = std::min(state->first + 1, how.first_cap);
  if (state->in_mesh) state->delivered = std::min(state->delivered + 1, how.deficit_cap);
}

void Scores::copy(const PeerId& peer, const std::string& topic, Duration late) {
  auto* state = find(peer, topic);
  const auto& how = of_topic(topic);
  if (state == nullptr || !state->in_mesh || late > how.deficit_window) return;
  state->delivered = std::min(state->delivered + 1, how.deficit_cap);
}

void Scores::invalid(const PeerId& peer, const std::string& topic) {
  if (auto* state = find(peer, topic); state != nullptr) state->invalid += 1;
}

void Scores::misbehaved(const PeerId& peer, double how_much) {
  if (const auto it = peers_.find(peer); it != peers_.end()) it->second.behaviour += how_much;
}

void Scores::decay(Peer& peer) {
  const auto shrink = [this](double& value, double by) {
    value *= by;
    if (value < parameters_.decay_to_zero) value = 0;
  };
  for (auto it = peer.topics.begin(); it != peer.topics.end();) {
    const auto& how = of_topic(it->first);
    auto& topic = it->second;
    shrink(topic.first, how.first_decay);
    shrink(topic.delivered, how.deficit_decay);
    shrink(topic.failure, how.failure_decay);
    shrink(topic.invalid, how.invalid_decay);
    const bool nothing = !topic.in_mesh && topic.first == 0 && topic.failure == 0 && topic.invalid == 0;
    it = nothing ? peer.topics.erase(it) : std::next(it);
  }
  shrink(peer.behaviour, parameters_.behaviour_decay);
}

void Scores::advance(Instant now) {
  for (auto it = peers_.begin(); it != peers_.end();) {
    if (const auto& forget_at = it->second.forget_at; forget_at && *forget_at <= now) {
      --gone_;
      it = peers_.erase(it);
      continue;
    }
    for (auto& [name, topic] : it->second.topics) {
      if (!topic.in_mesh) continue;
      topic.time = now - topic.since;
      topic.deficit_active = topic.deficit_active || topic.time > of_topic(name).deficit_activation;
    }
    ++it;
  }
  if (decayed_ == Instant{}) decayed_ = now;
  for (int i = 0; i < kCatchUpMax && now - decayed_ >= parameters_.decay_interval; ++i) {
    decayed_ += parameters_.decay_interval;
    // A bad score of a peer that is gone waits for it.
    for (auto& [id, peer] : peers_)
      if (!peer.forget_at) decay(peer);
  }
  if (now - decayed_ >= parameters_.decay_interval) decayed_ = now;
}

double Scores::worth(const Topic& topic, const TopicScore& how) const {
  double sum = 0;
  if (topic.in_mesh) {
    const auto quanta = std::chrono::duration<double>(topic.time) / std::chrono::duration<double>(how.time_quantum);
    sum += how.time_weight * std::min(quanta, how.time_cap);
  }
  sum += how.first_weight * topic.first;
  if (topic.in_mesh && topic.deficit_active && topic.delivered < how.deficit_threshold)
    sum += how.deficit_weight * square(how.deficit_threshold - topic.delivered);
  sum += how.failure_weight * topic.failure;
  sum += how.invalid_weight * square(topic.invalid);
  return sum * how.weight;
}

double Scores::of(const PeerId& peer) const {
  const auto it = peers_.find(peer);
  if (it == peers_.end()) return 0;
  const auto& state = it->second;
  double sum = 0;
  for (const auto& [name, topic] : state.topics) sum += worth(topic, of_topic(name));
  sum = std::min(sum, parameters_.topics_cap);
  sum += parameters_.application_weight * state.application;
  if (state.block) {
    const auto there = blocks_.find(*state.block);
    if (there != blocks_.end() && there->second > parameters_.colocation_threshold)
      sum +=
          parameters_.colocation_weight * square(static_cast<double>(there->second - parameters_.colocation_threshold));
  }
  const auto excess = state.behaviour - parameters_.behaviour_threshold;
  if (excess > 0) sum += parameters_.behaviour_weight * square(excess);
  return sum;
}

}  // namespace nmp::libp2p::gossipsub
