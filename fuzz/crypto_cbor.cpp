// fuzz: USES crypto
#include "crypto/cbor.hpp"

using namespace nmp;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto input = view_of(data, size);
  auto value = cbor::decode(input);
  if (!value) return 0;
  // What is accepted has one encoding, and that is the input.
  auto encoded = cbor::encode(*value);
  NMP_ASSERT(equal(encoded, input));
  NMP_ASSERT(cbor::decode(encoded).value() == *value);
  return 0;
}
