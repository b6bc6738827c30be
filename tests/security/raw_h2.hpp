#pragma once

#include <map>

#include "base/async/byte_stream.hpp"
#include "base/async/event.hpp"
#include "base/async/task_group.hpp"
#include "base/async/with_deadline.hpp"
#include "rpc/h2/grpc_codec.hpp"
#include "rpc/h2/session.hpp"
#include "tests/security/world.hpp"

/// A gRPC client that says of a message what it likes and sends as much of it as it likes.
namespace nmp::security {

class RawH2 final : public h2::SessionObserver {
 public:
  RawH2(async::Executor executor, async::ByteStreamPtr stream)
      : stream_(std::move(stream)),
        session_(h2::Session::make(h2::Role::client, h2::SessionOptions(65'535, 65'535, 0), *this)),
        wake_(executor),
        tasks_(executor) {
    tasks_.spawn(read_loop(this));
    tasks_.spawn(write_loop(this));
  }

  struct Stream {
    std::string reason_header;  ///< grpc-status
    bool closed = false;
    std::size_t received = 0;
  };

  /// The head of a call; its body stays open.
  h2::StreamId call(std::string_view path, std::string_view encoding = {}) {
    h2::Headers headers{{":method", "POST"},    {":scheme", "http"}, {":path", std::string(path)},
                        {":authority", "test"}, {"te", "trailers"},  {"content-type", "application/grpc"}};
    if (!encoding.empty()) headers.emplace_back("grpc-encoding", encoding);
    auto id = session_->open(headers);
    if (!id) return 0;
    streams[*id];
    wake_.notify_all();
    return *id;
  }
  /// The five bytes before a message that claims `claimed` bytes, then `bytes` of it.
  void send(h2::StreamId id, std::size_t claimed, Bytes bytes, bool compressed = false) {
    session_->send(id, h2::message_header(compressed, claimed));
    session_->send(id, std::move(bytes));
    wake_.notify_all();
  }
  void more(h2::StreamId id, Bytes bytes) {
    session_->send(id, std::move(bytes));
    wake_.notify_all();
  }
  void end(h2::StreamId id) {
    session_->end(id);
    wake_.notify_all();
  }
  /// Bytes that the peer's windows have not let out.
  [[nodiscard]] std::size_t queued(h2::StreamId id) const { return session_->queued(id); }
  [[nodiscard]] bool connection_ended() const { return ended_; }

  Awaitable<void> close() {
    stream_->reset(0);
    co_await tasks_.close();
  }

  std::map<h2::StreamId, Stream> streams;

 private:
  void on_headers(h2::StreamId id, h2::Headers headers, bool) override {
    if (const auto* status = h2::find(headers, "grpc-status")) streams[id].reason_header = *status;
  }
  void on_data(h2::StreamId id, ByteView bytes) override {
    streams[id].received += bytes.size();
    session_->consume(id, bytes.size());
    session_->consume_connection(bytes.size());
  }
  void on_closed(h2::StreamId id, std::uint32_t) override { streams[id].closed = true; }

  static Awaitable<void> read_loop(RawH2* self) {
    Bytes buffer(64 * 1024);
    for (;;) {
      auto size = co_await self->stream_->read_some(buffer);
      if (!size || *size == 0) break;
      auto taken = self->session_->receive(ByteView(buffer).first(*size), async::system_clock().now());
      self->wake_.notify_all();
      if (!taken) break;
    }
    self->ended_ = true;
  }
  static Awaitable<void> write_loop(RawH2* self) {
    Bytes out;
    for (;;) {
      out.clear();
      self->session_->produce(out, 64 * 1024);
      if (out.empty()) {
        auto woken = co_await self->wake_.wait();
        if (!woken) co_return;
        continue;
      }
      auto written = co_await self->stream_->write(out);
      if (!written) co_return;
    }
  }

  async::ByteStreamPtr stream_;
  std::unique_ptr<h2::Session> session_;
  async::Event wake_;
  async::TaskGroup tasks_;
  bool ended_ = false;
};

}  // namespace nmp::security
