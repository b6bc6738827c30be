#include "libp2p/kad/network_size.hpp"

#include <algorithm>

namespace nmp::libp2p::kad {
namespace {

/// A distance as a part of the keyspace, 0 to 1: its first eight bytes are more than a double holds.
double part_of(const Distance& distance) {
  double part = 0;
  double weight = 1;
  for (std::size_t i = 0; i < 8; ++i) part += std::to_integer<int>(distance.bytes[i]) * (weight /= 256);
  return part;
}

}  // namespace

std::optional<double> NetworkSize::of(std::span<const Distance> distances) {
  if (distances.size() < kSizePeersMin) return std::nullopt;
  double squares = 0;
  double products = 0;
  for (std::size_t i = 0; i < distances.size(); ++i) {
    auto rank = static_cast<double>(i + 1);
    squares += rank * rank;
    products += rank * part_of(distances[i]);
  }
  if (products <= 0) return std::nullopt;
  return std::max(squares / products - 1, static_cast<double>(distances.size()));
}

void NetworkSize::add(std::span<const Distance> distances) {
  auto size = of(distances);
  if (!size) return;
  samples_.push_back(*size);
  if (samples_.size() > kSizeSamples) samples_.pop_front();
}

std::optional<double> NetworkSize::estimate() const {
  if (samples_.size() < kSizeSamplesMin) return std::nullopt;
  // The median: a few lookups into crowded places do not move it.
  std::vector<double> sorted(samples_.begin(), samples_.end());
  auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  std::ranges::nth_element(sorted, middle);
  return *middle;
}

std::optional<double> NetworkSize::crowding(std::span<const Distance> distances) const {
  auto all = estimate();
  auto here = of(distances);
  if (!all || !here) return std::nullopt;
  return *here / *all;
}

}  // namespace nmp::libp2p::kad
