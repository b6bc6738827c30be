#include "base/bytes.hpp"

namespace nmp {

Bytes concat(std::initializer_list<ByteView> parts) {
  std::size_t size = 0;
  for (auto part : parts) size += part.size();
  Bytes out;
  out.reserve(size);
  for (auto part : parts) append(out, part);
  return out;
}

bool equal_constant_time(ByteView a, ByteView b) {
  if (a.size() != b.size()) return false;
  unsigned difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) difference |= std::to_integer<unsigned>(a[i] ^ b[i]);
  // The barrier keeps the compiler from turning the loop into an early exit.
  asm volatile("" : "+r"(difference));
  return difference == 0;
}

}  // namespace nmp
