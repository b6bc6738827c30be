#pragma once

#include "base/async/byte_stream.hpp"
#include "base/async/event.hpp"
#include "libp2p/host/read_buffer.hpp"
#include "libp2p/websocket/session.hpp"

namespace nmp::libp2p {

/// A byte stream inside another's WebSocket.
class WebSocketStream final : public async::ByteStream {
 public:
  WebSocketStream(const async::Executor& executor, async::ByteStreamPtr below, websocket::Session session);

  /// To be called once, before all else. Errors: websocket::Errc, truncated, the stream's.
  async::Awaitable<Result<void>> handshake();

  async::Awaitable<Result<std::size_t>> read_some(std::span<std::byte> buffer) override;
  async::Awaitable<Result<void>> write(ByteView data) override;
  async::Awaitable<Result<void>> close_write() override;
  void reset(std::uint64_t code) noexcept override { below_->reset(code); }

 private:
  /// Feeds the session from below. False at the end.
  async::Awaitable<Result<bool>> feed();
  /// Sends what the session has to say. A reader may have something too (the answer to a ping): whoever is at it takes
  /// along what comes meanwhile.
  async::Awaitable<Result<void>> flush();

  async::ByteStreamPtr below_;
  websocket::Session session_;
  bool flushing_ = false;
  async::Event flushed_;
  ReadBuffer raw_;
};

}  // namespace nmp::libp2p
