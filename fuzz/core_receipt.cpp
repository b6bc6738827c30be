// fuzz: USES core
#include "core/receipt.hpp"
#include "crypto/cbor.hpp"
#include "crypto/cose.hpp"

/// What parses is in its one encoding: the payload is canonical, so encoding it again gives the same bytes.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nmp;
  const auto bytes = view_of(data, size);
  const auto received = core::parse_receipt(bytes);
  if (!received) return 0;
  NMP_ASSERT(equal(received->cose, bytes));
  const auto sign1 = cose::parse(bytes);
  NMP_ASSERT(sign1);
  NMP_ASSERT(cbor::encode(*cbor::decode(sign1->payload)) == sign1->payload);
  return 0;
}
