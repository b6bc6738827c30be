#include "crypto/random.hpp"

#include <openssl/rand.h>

#include "base/result.hpp"

namespace nmp::crypto {
namespace {

class SystemRandom final : public Random {
 public:
  void fill(std::span<std::byte> out) override {
    // RAND_priv_bytes takes an int.
    constexpr std::size_t kPiece = 1 << 20;
    while (!out.empty()) {
      auto piece = out.first(std::min(out.size(), kPiece));
      NMP_ASSERT(RAND_priv_bytes(u8(piece), static_cast<int>(piece.size())) == 1);
      out = out.subspan(piece.size());
    }
  }
};

}  // namespace

Random& system_random() {
  static SystemRandom random;
  return random;
}

}  // namespace nmp::crypto
