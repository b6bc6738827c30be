#include "libp2p/host/noise_stream.hpp"

namespace nmp::libp2p {

namespace {
/// Read from the socket at once, at most: two of the frames that go and rust send.
constexpr std::size_t kReadBytes = 32UZ * 1024;
}  // namespace

NoiseStream::NoiseStream(async::ByteStreamPtr below, noise::Session session)
    : below_(std::move(below)), session_(std::move(session)), read_size_(kReadBytes) {}

async::Awaitable<Result<void>> NoiseStream::flush() {
  const auto output = session_.take_output();
  if (output.empty()) co_return Result<void>();
  co_return co_await below_->write(output);
}

async::Awaitable<Result<bool>> NoiseStream::feed() {
  if (raw_at_ == raw_end_) {
    if (raw_.size() != read_size_.size()) Bytes(read_size_.size()).swap(raw_);
    raw_at_ = raw_end_ = 0;
    NMP_CO_TRY(const auto size, co_await below_->read_some(raw_));
    if (size == 0) {
      NMP_CO_CHECK(session_.on_end());
      co_return false;
    }
    raw_end_ = size;
    read_size_.note(size);
  }
  NMP_CO_TRY(const auto taken, session_.on_bytes(ByteView(raw_).subspan(raw_at_, raw_end_ - raw_at_)));
  raw_at_ += taken;
  co_return true;
}

async::Awaitable<Result<void>> NoiseStream::handshake(Bytes early) {
  raw_ = std::move(early);
  raw_end_ = raw_.size();
  for (;;) {
    NMP_CO_CHECK(co_await flush());
    if (session_.established()) co_return Result<void>();
    NMP_CO_TRY(const auto more, co_await feed());
    if (!more) co_return fail(noise::Errc::truncated, "the stream ended during the handshake");
  }
}

async::Awaitable<Result<std::size_t>> NoiseStream::read_some(std::span<std::byte> buffer) {
  for (;;) {
    if (const auto size = session_.read(buffer); size > 0) co_return size;
    NMP_CO_TRY(const auto more, co_await feed());
    if (!more) co_return 0UZ;
  }
}

async::Awaitable<Result<void>> NoiseStream::write(ByteView data) {
  while (!data.empty()) {
    NMP_CO_TRY(const auto taken, session_.write(data));
    data = data.subspan(taken);
    NMP_CO_CHECK(co_await flush());
  }
  co_return Result<void>();
}

}  // namespace nmp::libp2p
