// fuzz: USES core verify
#include "base/encoding.hpp"
#include "core/receipt.hpp"
#include "verify/receipt_check.hpp"

/// Proofs that decode encode to the same bytes; no stranger's receipt passes; one text for one receipt.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nmp;
  const auto bytes = view_of(data, size);
  if (const auto proof = core::decode_proof(bytes)) NMP_ASSERT(equal(core::encode_proof(*proof), bytes));
  NMP_ASSERT(!verify::check_receipt(bytes, {}).ok());
  auto text = text_of(bytes);
  if (const auto read = verify::read_receipt_text(text)) {
    if (text.ends_with('\n')) text.remove_suffix(1);
    NMP_ASSERT(base64_encode(*read) == text);
  }
  return 0;
}
