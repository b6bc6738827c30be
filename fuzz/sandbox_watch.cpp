// fuzz: USES sandbox
#include "core/watch.hpp"
#include "sandbox/watch_records.hpp"

/// One encoding for one value: what decodes encodes to the same bytes. The first byte chooses the decoder.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nmp;
  if (size == 0) return 0;
  const auto body = view_of(data + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      if (const auto list = core::decode_watch_list(body)) NMP_ASSERT(equal(core::encode_watch_list(*list), body));
      break;
    case 1:
      if (const auto definition = sandbox::decode_definition(body))
        NMP_ASSERT(equal(sandbox::encode(*definition), body));
      break;
    default:
      if (const auto record = sandbox::decode_record(body)) NMP_ASSERT(equal(sandbox::encode(*record), body));
      break;
  }
  return 0;
}
