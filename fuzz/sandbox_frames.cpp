// fuzz: USES sandbox
#include "sandbox/engine_protocol.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nmp;
  const auto body = view_of(data, size);
  // One encoding for one frame: what decodes encodes to the same bytes.
  if (const auto frame = sandbox::decode_host_frame(body))
    NMP_ASSERT(equal(ByteView(sandbox::encode(*frame)).subspan(4), body));
  if (const auto frame = sandbox::decode_engine_frame(body))
    NMP_ASSERT(equal(ByteView(sandbox::encode(*frame)).subspan(4), body));
  return 0;
}
