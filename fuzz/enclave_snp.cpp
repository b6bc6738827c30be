// fuzz: USES enclave
#include <algorithm>

#include "enclave/limits.hpp"
#include "enclave/snp_report.hpp"

using namespace nmp;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = view_of(data, size);
  const auto report = enclave::parse_snp_report(input);
  if (!report) return 0;
  // Signed bytes and signature are the whole input.
  auto rebuilt = report->signed_bytes;
  for (std::size_t half = 0; half < 2; ++half) {
    Bytes number(48);
    std::ranges::reverse_copy(ByteView(report->signature).subspan(half * 48, 48), number.begin());
    number.resize(72);
    append(rebuilt, number);
  }
  rebuilt.resize(enclave::kSnpReportBytes);
  NMP_ASSERT(equal(rebuilt, input));
  return 0;
}
