#include "libp2p/host/websocket_stream.hpp"

namespace nmp::libp2p {

namespace {
/// Read from the socket at once, at most.
constexpr std::size_t kReadBytes = 32UZ * 1024;
}  // namespace

WebSocketStream::WebSocketStream(const async::Executor& executor,
                                 async::ByteStreamPtr below,
                                 websocket::Session session)
    : below_(std::move(below)), session_(std::move(session)), flushed_(executor), raw_(kReadBytes) {}

async::Awaitable<Result<void>> WebSocketStream::flush() {
  if (flushing_) co_return Result<void>();
  flushing_ = true;
  Result<void> written;
  for (auto output = session_.take_output(); written && !output.empty(); output = session_.take_output())
    written = co_await below_->write(output);
  flushing_ = false;
  flushed_.notify_all();
  co_return written;
}

async::Awaitable<Result<bool>> WebSocketStream::feed() {
  if (raw_.unread().empty()) {
    NMP_CO_TRY(const auto size, co_await raw_.fill(*below_));
    if (size == 0) {
      NMP_CO_CHECK(session_.on_end());
      co_return false;
    }
  }
  const auto taken = session_.on_bytes(raw_.unread());
  const auto said = co_await flush();
  if (!taken) co_return std::unexpected(taken.error());
  if (!said) co_return std::unexpected(said.error());
  raw_.consume(*taken);
  co_return true;
}

async::Awaitable<Result<void>> WebSocketStream::handshake() {
  NMP_CO_CHECK(co_await flush());
  while (!session_.established()) {
    NMP_CO_TRY(const auto more, co_await feed());
    if (!more) co_return fail(websocket::Errc::truncated, "the stream ended during the handshake");
  }
  co_return Result<void>();
}

async::Awaitable<Result<std::size_t>> WebSocketStream::read_some(std::span<std::byte> buffer) {
  for (;;) {
    if (const auto size = session_.read(buffer); size > 0) co_return size;
    if (session_.ended()) co_return 0UZ;
    NMP_CO_TRY(const auto more, co_await feed());
    if (!more) co_return 0UZ;
  }
}

async::Awaitable<Result<void>> WebSocketStream::write(ByteView data) {
  while (!data.empty()) {
    NMP_CO_TRY(const auto taken, session_.write(data));
    data = data.subspan(taken);
    while (flushing_) NMP_CO_CHECK(co_await flushed_.wait());
    NMP_CO_CHECK(co_await flush());
  }
  co_return Result<void>();
}

async::Awaitable<Result<void>> WebSocketStream::close_write() {
  session_.finish();
  while (flushing_) NMP_CO_CHECK(co_await flushed_.wait());
  NMP_CO_CHECK(co_await flush());
  co_return co_await below_->close_write();
}

}  // namespace nmp::libp2p
