#include "libp2p/ping/ping.hpp"

#include <algorithm>

namespace nmp::libp2p::ping {

std::optional<Payload> Responder::feed(ByteView& input) {
  auto taken = std::min(input.size(), kPayloadBytes - held_);
  std::ranges::copy(input.first(taken), payload_.begin() + static_cast<std::ptrdiff_t>(held_));
  input = input.subspan(taken);
  held_ += taken;
  if (held_ < kPayloadBytes) return std::nullopt;
  held_ = 0;
  return payload_;
}

Payload Initiator::start(Random& random, Instant now) {
  random.fill(sent_);
  matched_ = 0;
  sent_at_ = now;
  waiting_ = true;
  return sent_;
}

Result<std::optional<Duration>> Initiator::feed(ByteView input, Instant now) {
  if (input.empty()) return std::nullopt;
  if (!waiting_ || input.size() > kPayloadBytes - matched_)
    return fail(Errc::malformed, "ping: more than was asked for");
  if (!equal(input, std::span(sent_).subspan(matched_, input.size())))
    return fail(Errc::malformed, "ping: the echo differs");
  matched_ += input.size();
  if (matched_ < kPayloadBytes) return std::nullopt;
  waiting_ = false;
  return std::optional(now - sent_at_);
}

}  // namespace nmp::libp2p::ping
