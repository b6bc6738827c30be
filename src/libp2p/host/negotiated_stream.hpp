#pragma once

#include <optional>

#include "libp2p/host/stream.hpp"
#include "libp2p/host/transport.hpp"
#include "libp2p/multistream/multistream.hpp"

namespace nmp::libp2p {

/// A Stream of any transport. With a Dialer its protocol is only proposed: the answer is read before the first byte is
/// handed out.
class NegotiatedStream final : public Stream {
 public:
  NegotiatedStream(StreamCorePtr core, PeerId remote, Multiaddr address, bool inbound);
  NegotiatedStream(const NegotiatedStream&) = delete;
  NegotiatedStream& operator=(const NegotiatedStream&) = delete;
  ~NegotiatedStream() override;

  [[nodiscard]] const PeerId& remote() const override { return remote_; }
  [[nodiscard]] const Multiaddr& remote_address() const override { return address_; }
  [[nodiscard]] const std::string& protocol() const override { return protocol_; }
  [[nodiscard]] bool inbound() const override { return inbound_; }

  async::Awaitable<Result<std::size_t>> read_some(std::span<std::byte> buffer) override;
  async::Awaitable<Result<void>> write(ByteView data) override;
  async::Awaitable<Result<void>> close_write() override;
  void reset(std::uint64_t code) noexcept override;
  void stop_reading(std::uint64_t code) noexcept override;
  [[nodiscard]] std::optional<std::uint64_t> peer_code() const override;

  /// Counts the stream with its protocol, once that is known (or proposed). Errors: resources::Errc; reset it then.
  Result<void> count_protocol() { return core_->scope.set_protocol(protocol_); }
  /// Proposes; the answer is awaited by settle(), or lazily by the first read.
  void propose(std::vector<std::string> protocols);
  /// Errors: host::Errc::protocol_unsupported, closed, deadline_exceeded, cancelled.
  async::Awaitable<Result<void>> settle(Instant deadline);
  /// The listener's side. Errors as settle(); on an error the stream has been reset.
  async::Awaitable<Result<void>> accept(multistream::Listener::Known known, Instant deadline);

 private:
  /// Sends a few bytes that fit the send buffer of a young stream.
  void send_small(const Bytes& bytes);
  /// The next received bytes, before any have been handed out. 0 at the end.
  async::Awaitable<Result<std::size_t>> read_raw(std::span<std::byte> buffer, Instant deadline);

  StreamCorePtr core_;  // the transport's table and this
  PeerId remote_;
  Multiaddr address_;
  std::string protocol_;
  bool inbound_;
  std::optional<multistream::Dialer> dialer_;
  Bytes early_;  ///< read with the last negotiation token
  std::size_t early_read_ = 0;
  bool finished_ = false;
  bool ended_ = false;
  bool broken_ = false;
};

}  // namespace nmp::libp2p
