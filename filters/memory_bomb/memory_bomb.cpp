/// Hostile: takes memory, a MiB at a time, and uses it, until it gets no more; then gives up.
#include <cstdlib>
#include <cstring>

int main() {
  constexpr std::size_t kPiece = 1 << 20;
  while (true) {
    void* volatile piece = std::malloc(kPiece);
    if (piece == nullptr) std::abort();
    std::memset(piece, 0xa5, kPiece);
  }
}
