// fuzz: USES enclave
#include "enclave/limits.hpp"
#include "enclave/nitro_document.hpp"

using namespace nmp;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto input = view_of(data, size);
  const auto received = enclave::parse_nitro_document(input);
  if (!received) return 0;
  // Rebuilt from payload and signature it is the input, tagged or not: no byte goes unread.
  if (input[0] == std::byte{0xd2}) input = input.subspan(1);
  NMP_ASSERT(equal(cose::write_es384(received->cose.payload, received->cose.signature), input));
  const auto& document = received->document;
  NMP_ASSERT(!document.pcrs.empty() && document.pcrs.size() <= enclave::kPcrsMax);
  NMP_ASSERT(!document.cabundle.empty() && document.cabundle.size() <= enclave::kNitroBundleMax);
  return 0;
}
