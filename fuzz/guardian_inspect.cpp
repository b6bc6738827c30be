// fuzz: USES guardian
#include "sandbox/guardian/guardian.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto info = nmp::guardian::inspect(nmp::view_of(data, size));
  if (!info) return 0;
  NMP_ASSERT(info->module_bytes == size && info->code_bytes <= size && info->custom_bytes <= size);
  NMP_ASSERT(info->functions <= nmp::guardian::kFunctionsMax && info->tables <= nmp::guardian::kTablesMax);
  NMP_ASSERT(info->largest_function_bytes <= nmp::guardian::kFunctionBytesMax);
  // What passes with `_start` passes without asking for it.
  nmp::guardian::Policy policy;
  policy.needs_start = false;
  NMP_ASSERT(nmp::guardian::inspect(nmp::view_of(data, size), policy).has_value());
  return 0;
}
