#include "libp2p/perf/perf.hpp"

#include "base/codec.hpp"

namespace nmp::libp2p::perf {

ByteArray<kRequestBytes> encode_request(std::uint64_t download_bytes) {
  Writer out;
  out.u64be(download_bytes);
  ByteArray<kRequestBytes> request;
  std::ranges::copy(out.view(), request.begin());
  return request;
}

Result<void> Responder::feed(ByteView input) {
  while (request_read_ < kRequestBytes && !input.empty()) {
    wanted_ = wanted_ << 8 | std::to_integer<std::uint64_t>(input.front());
    input = input.subspan(1);
    if (++request_read_ == kRequestBytes && wanted_ > limits_.download_bytes_max)
      return fail(Errc::too_large, "perf: bytes asked back");
  }
  if (input.size() > limits_.upload_bytes_max - uploaded_) return fail(Errc::too_large, "perf: bytes brought");
  uploaded_ += input.size();
  return {};
}

Result<std::uint64_t> Responder::end() const {
  if (request_read_ < kRequestBytes) return fail(Errc::truncated, "perf: request");
  return wanted_;
}

Result<void> Download::feed(std::size_t bytes) {
  if (bytes > left_) return fail(Errc::malformed, "perf: more than was asked for");
  left_ -= bytes;
  return {};
}

Result<void> Download::end() const {
  if (left_ > 0) return fail(Errc::truncated, "perf: less than was asked for");
  return {};
}

}  // namespace nmp::libp2p::perf
