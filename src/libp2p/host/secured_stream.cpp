#include "libp2p/host/secured_stream.hpp"

#include "libp2p/host/read_buffer.hpp"

namespace nmp::libp2p {

namespace {

/// Read from the socket at once, at most: two of the frames that go and rust send.
constexpr std::size_t kReadBytes = 32UZ * 1024;

// Noise says no goodbye, and has no last words after an error.
bool ended(const noise::Session&) { return false; }
bool ended(const tls::Session& session) { return session.ended(); }
void finish(noise::Session&) {}
void finish(tls::Session& session) { session.finish(); }

template <class Session>
class SessionStream final : public SecuredStream {
 public:
  SessionStream(async::ByteStreamPtr below, Session session) : below_(std::move(below)), session_(std::move(session)) {}

  async::Awaitable<Result<void>> handshake(Bytes early) override {
    raw_.start_with(std::move(early));
    for (;;) {
      NMP_CO_CHECK(co_await flush());
      if (session_.established()) co_return Result<void>();
      auto more = co_await feed();
      if (!more) {
        // What the peer hears of it.
        (void)co_await flush();
        co_return std::unexpected(std::move(more).error());
      }
      if (!*more) co_return fail(Errc::truncated, "the stream ended during the handshake");
    }
  }
  [[nodiscard]] const PeerId& peer() const override { return session_.peer(); }
  [[nodiscard]] const std::optional<std::string>& muxer() const override { return session_.muxer(); }

  async::Awaitable<Result<std::size_t>> read_some(std::span<std::byte> buffer) override {
    for (;;) {
      if (const auto size = session_.read(buffer); size > 0) co_return size;
      if (ended(session_)) co_return 0UZ;
      NMP_CO_TRY(const auto more, co_await feed());
      if (!more) co_return 0UZ;
    }
  }
  async::Awaitable<Result<void>> write(ByteView data) override {
    while (!data.empty()) {
      NMP_CO_TRY(const auto taken, session_.write(data));
      data = data.subspan(taken);
      NMP_CO_CHECK(co_await flush());
    }
    co_return Result<void>();
  }
  async::Awaitable<Result<void>> close_write() override {
    finish(session_);
    NMP_CO_CHECK(co_await flush());
    co_return co_await below_->close_write();
  }
  void reset(std::uint64_t code) noexcept override { below_->reset(code); }

 private:
  /// Feeds the session what it has room for, from below once that is used up. False at the end.
  async::Awaitable<Result<bool>> feed() {
    if (raw_.unread().empty()) {
      NMP_CO_TRY(const auto size, co_await raw_.fill(*below_));
      if (size == 0) {
        NMP_CO_CHECK(session_.on_end());
        co_return false;
      }
    }
    NMP_CO_TRY(const auto taken, session_.on_bytes(raw_.unread()));
    raw_.consume(taken);
    co_return true;
  }
  /// Sends what the session has to say.
  async::Awaitable<Result<void>> flush() {
    const auto output = session_.take_output();
    if (output.empty()) co_return Result<void>();
    co_return co_await below_->write(output);
  }

  async::ByteStreamPtr below_;
  Session session_;
  ReadBuffer raw_{kReadBytes};
};

}  // namespace

std::unique_ptr<SecuredStream> secure(async::ByteStreamPtr below, noise::Session session) {
  return std::make_unique<SessionStream<noise::Session>>(std::move(below), std::move(session));
}
std::unique_ptr<SecuredStream> secure(async::ByteStreamPtr below, tls::Session session) {
  return std::make_unique<SessionStream<tls::Session>>(std::move(below), std::move(session));
}

}  // namespace nmp::libp2p
