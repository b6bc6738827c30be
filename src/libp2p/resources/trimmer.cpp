#include "libp2p/resources/trimmer.hpp"

#include <algorithm>
#include <map>
#include <queue>

namespace nmp::libp2p::resources {

std::vector<std::size_t> choose_idle(std::span<const TrimCandidate> all, const TrimLimits& limits, Instant now) {
  if (all.size() <= limits.high) return {};
  struct Block {
    std::size_t size = 0;           ///< connections, closable or not
    std::vector<std::size_t> idle;  ///< positions, the longest idle last
  };
  std::map<AddressBlock, Block> blocks;
  for (std::size_t i = 0; i < all.size(); ++i) {
    auto& block = blocks[all[i].block];
    ++block.size;
    if (!all[i].in_use && !all[i].is_kept && now - all[i].last_used >= limits.grace) block.idle.push_back(i);
  }
  struct Turn {
    std::size_t size;
    Instant last_used;
    Block* block;
    bool operator<(const Turn& other) const {
      if (size != other.size) return size < other.size;
      return last_used > other.last_used;
    }
  };
  std::priority_queue<Turn> turns;
  for (auto& [address, block] : blocks) {
    if (block.idle.empty()) continue;
    std::ranges::sort(block.idle, std::greater{}, [&](std::size_t i) { return all[i].last_used; });
    turns.push({block.size, all[block.idle.back()].last_used, &block});
  }
  std::vector<std::size_t> chosen;
  while (!turns.empty() && all.size() - chosen.size() > limits.low) {
    auto& block = *turns.top().block;
    turns.pop();
    chosen.push_back(block.idle.back());
    block.idle.pop_back();
    --block.size;
    if (!block.idle.empty()) turns.push({block.size, all[block.idle.back()].last_used, &block});
  }
  return chosen;
}

}  // namespace nmp::libp2p::resources
