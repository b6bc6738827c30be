#include "libp2p/host/negotiated_stream.hpp"

#include <boost/asio/this_coro.hpp>

#include "libp2p/host/host.hpp"

namespace nmp::libp2p {

NegotiatedStream::NegotiatedStream(StreamCorePtr core, PeerId remote, Multiaddr address, bool inbound)
    : core_(std::move(core)), remote_(std::move(remote)), address_(std::move(address)), inbound_(inbound) {}

NegotiatedStream::~NegotiatedStream() {
  if (core_->transport == nullptr) return;
  // A lazy dialler that wrote and finished without reading: a listener may abort when its answer finds no reader.
  core_->transport->let_go(core_, /*drain=*/dialer_.has_value() && finished_ && !broken_);
}

void NegotiatedStream::send_small(const Bytes& bytes) {
  if (!bytes.empty() && core_->write(bytes) < bytes.size()) reset(stream_code::kResourceLimit);
}

async::Awaitable<Result<std::size_t>> NegotiatedStream::read_raw(std::span<std::byte> buffer, Instant deadline) {
  auto core = core_;
  for (;;) {
    auto result = core->read(buffer);
    if (result.size > 0 || result.end) co_return result.size;
    if (result.broken) co_return fail(Errc::closed, "stream reset");
    NMP_CO_CHECK(co_await core->changed.wait(deadline));
  }
}

void NegotiatedStream::propose(std::vector<std::string> protocols) {
  protocol_ = protocols.front();
  dialer_.emplace(std::move(protocols));
  send_small(dialer_->take_output());
}

async::Awaitable<Result<void>> NegotiatedStream::settle(Instant deadline) {
  std::array<std::byte, 512> piece;
  while (dialer_) {
    auto size = co_await read_raw(piece, deadline);
    if (!size) {
      if (peer_code() == stream_code::kNegotiationFailed) co_return fail(host::Errc::protocol_unsupported, protocol_);
      co_return std::unexpected(std::move(size).error());
    }
    if (*size == 0) co_return fail(host::Errc::protocol_unsupported, "stream ended during negotiation");
    ByteView input = ByteView(piece).first(*size);
    auto agreed = dialer_->feed(input);
    if (!agreed) {
      reset(stream_code::kNegotiationFailed);
      if (agreed.error().code == multistream::Errc::no_common_protocol)
        co_return fail(host::Errc::protocol_unsupported, protocol_);
      co_return std::unexpected(std::move(agreed).error());
    }
    send_small(dialer_->take_output());
    if (*agreed) {
      protocol_ = **std::move(agreed);
      dialer_.reset();
      early_ = to_bytes(input);
    }
  }
  co_return Result<void>();
}

async::Awaitable<Result<void>> NegotiatedStream::accept(multistream::Listener::Known known, Instant deadline) {
  multistream::Listener listener(std::move(known));
  std::array<std::byte, 512> piece;
  for (;;) {
    auto size = co_await read_raw(piece, deadline);
    if (!size || *size == 0) {
      reset(stream_code::kNegotiationFailed);
      if (!size) co_return std::unexpected(std::move(size).error());
      co_return fail(Errc::closed, "stream ended during negotiation");
    }
    ByteView input = ByteView(piece).first(*size);
    auto agreed = listener.feed(input);
    send_small(listener.take_output());
    if (!agreed) {
      reset(stream_code::kNegotiationFailed);
      co_return std::unexpected(std::move(agreed).error());
    }
    if (*agreed) {
      protocol_ = **std::move(agreed);
      early_ = to_bytes(input);
      co_return Result<void>();
    }
  }
}

async::Awaitable<Result<std::size_t>> NegotiatedStream::read_some(std::span<std::byte> buffer) {
  auto state = co_await boost::asio::this_coro::cancellation_state;
  if (state.cancelled() != boost::asio::cancellation_type::none) co_return fail(Errc::cancelled);
  if (broken_) co_return fail(Errc::closed, "stream reset");
  if (ended_) co_return 0UZ;
  if (dialer_) NMP_CO_CHECK(co_await settle(kNever));
  if (early_read_ < early_.size()) {
    auto size = std::min(buffer.size(), early_.size() - early_read_);
    std::copy_n(ByteView(early_).subspan(early_read_).begin(), size, buffer.begin());
    early_read_ += size;
    if (early_read_ == early_.size()) Bytes().swap(early_);
    if (early_.empty()) early_read_ = 0;
    co_return size;
  }
  auto size = co_await read_raw(buffer, kNever);
  if (size && *size == 0) ended_ = true;
  co_return size;
}

async::Awaitable<Result<void>> NegotiatedStream::write(ByteView data) {
  auto state = co_await boost::asio::this_coro::cancellation_state;
  if (state.cancelled() != boost::asio::cancellation_type::none) co_return fail(Errc::cancelled);
  auto core = core_;
  for (;;) {
    if (!core->can_write()) co_return fail(Errc::closed, "stream does not take data");
    data = data.subspan(core->write(data));
    if (data.empty()) co_return Result<void>();
    NMP_CO_CHECK(co_await core->changed.wait());
  }
}

async::Awaitable<Result<void>> NegotiatedStream::close_write() {
  if (finished_) co_return Result<void>();
  if (!core_->can_write()) co_return fail(Errc::closed, "stream does not take data");
  finished_ = true;
  core_->finish();
  co_return Result<void>();
}

void NegotiatedStream::reset(std::uint64_t code) noexcept {
  if (broken_) return;
  broken_ = true;
  core_->reset(code);
}

void NegotiatedStream::stop_reading(std::uint64_t code) noexcept {
  if (broken_ || ended_) return;
  core_->stop_reading(code);
}

std::optional<std::uint64_t> NegotiatedStream::peer_code() const { return core_->peer_code(); }

}  // namespace nmp::libp2p
