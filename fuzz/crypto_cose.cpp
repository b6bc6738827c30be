// fuzz: USES crypto
#include "crypto/cbor.hpp"
#include "crypto/cose.hpp"

using namespace nmp;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto input = view_of(data, size);
  auto object = cose::parse(input);
  if (!object) return 0;
  // Rebuilt from its parts it is the input: no byte goes unread.
  auto header = cbor::encode(cbor::Map{{1, -8}, {4, object->kid}, {16, object->typ}});
  Bytes rebuilt = {std::byte{0xd2}};
  append(rebuilt, cbor::encode(cbor::Array{header, cbor::Map(), object->payload, object->signature}));
  NMP_ASSERT(equal(rebuilt, input));
  static const auto key = crypto::Ed25519KeyPair::from_seed(SecretBytes<32>());
  auto verified = cose::verify(input, object->typ, key.public_key());
  NMP_ASSERT(!verified || verified->payload == object->payload);
  return 0;
}
