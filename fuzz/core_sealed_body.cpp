// fuzz: USES core
#include "core/sealed_body.hpp"

/// Bodies and inputs that decode encode to the same bytes.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nmp;
  const auto bytes = view_of(data, size);
  if (const auto body = core::decode_response(bytes)) NMP_ASSERT(equal(core::encode_response(*body), bytes));
  if (const auto inputs = core::decode_inputs(bytes)) NMP_ASSERT(equal(core::encode_inputs(*inputs), bytes));
  return 0;
}
