#pragma once

#include "base/async/byte_stream.hpp"
#include "libp2p/host/read_size.hpp"
#include "libp2p/noise/session.hpp"

namespace nmp::libp2p {

/// A byte stream inside another, secured by Noise. A stream that ends without the muxer's goodbye may have been cut.
class NoiseStream final : public async::ByteStream {
 public:
  NoiseStream(async::ByteStreamPtr below, noise::Session session);

  /// To be called once, before all else. `early`: what was read below already.
  /// Errors: noise::Errc, the stream's.
  async::Awaitable<Result<void>> handshake(Bytes early);
  /// After handshake().
  [[nodiscard]] const PeerId& peer() const { return session_.peer(); }
  [[nodiscard]] const std::optional<std::string>& muxer() const { return session_.muxer(); }

  async::Awaitable<Result<std::size_t>> read_some(std::span<std::byte> buffer) override;
  async::Awaitable<Result<void>> write(ByteView data) override;
  async::Awaitable<Result<void>> close_write() override { return below_->close_write(); }
  void reset(std::uint64_t code) noexcept override { below_->reset(code); }

 private:
  /// Feeds the session what it has room for, from below once that is used up. False at the end.
  async::Awaitable<Result<bool>> feed();
  /// Sends what the session has to say.
  async::Awaitable<Result<void>> flush();

  async::ByteStreamPtr below_;
  noise::Session session_;
  ReadSize read_size_;
  Bytes raw_;  ///< a buffer; from raw_at_ to raw_end_ it was read below and not taken by the session yet
  std::size_t raw_at_ = 0;
  std::size_t raw_end_ = 0;
};

}  // namespace nmp::libp2p
