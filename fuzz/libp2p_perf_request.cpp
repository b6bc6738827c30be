// fuzz: USES libp2p_perf
#include <cstdlib>

#include "libp2p/perf/perf.hpp"

using namespace nmp;
using namespace nmp::libp2p;

/// Input: how it is cut, then what a client sends. The pieces change nothing, and the limits hold.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t piece = 1UZ + data[0] % 32;
  const auto sent = view_of(data, size).subspan(1);
  const perf::Limits limits{.upload_bytes_max = 64, .download_bytes_max = 1ULL << 40};
  perf::Responder whole(limits);
  perf::Responder cut(limits);
  const bool taken = whole.feed(sent).has_value();
  bool cut_taken = true;
  for (std::size_t at = 0; cut_taken && at < sent.size(); at += piece)
    cut_taken = cut.feed(sent.subspan(at, std::min(piece, sent.size() - at))).has_value();
  if (taken != cut_taken) std::abort();
  if (!taken) return 0;
  const auto wanted = whole.end();
  if (wanted.has_value() != (sent.size() >= perf::kRequestBytes) || whole.uploaded() > 64) std::abort();
  if (!wanted) return 0;
  if (*wanted > limits.download_bytes_max || cut.end().value() != *wanted) std::abort();
  if (!equal(perf::encode_request(*wanted), sent.first(perf::kRequestBytes))) std::abort();
  return 0;
}
