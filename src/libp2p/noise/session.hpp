#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "libp2p/noise/handshake_state.hpp"
#include "libp2p/noise/payload.hpp"
#include "libp2p/noise/transport.hpp"
#include "libp2p/peer/peer_id.hpp"

/// libp2p's Noise (libp2p/specs noise/README.md, libp2p.md section 7): `/noise` on one byte stream. Departures: a
/// handshake message of more than kHandshakeMessageBytesMax is refused; nothing is read of or written to
/// `webtransport_certhashes`.
namespace nmp::libp2p::noise {

inline constexpr std::string_view kProtocol = "/noise";

struct Options {
  /// Who must be at the other end. A dialler that does not say takes whoever answers.
  std::optional<PeerId> expected;
  /// Our muxers in order of preference, for the early negotiation; empty: the muxer is negotiated afterwards.
  std::vector<std::string> muxers;
};

/// One end of one stream. Bytes go in by on_bytes() and out by take_output(); after each call, look for output. Once
/// established(), plaintext goes in by write() and out by unread() or read().
/// After an error there is nothing more to send, and every call returns that error; the owner drops the stream and
/// tells the peer nothing.
class Session {
 public:
  /// The end that opened the TCP connection: its first message is ready to be sent. All chance is drawn here, the
  /// static key's 32 bytes first, then the ephemeral key's. Errors: bad_payload (more muxers than we would read).
  static Result<Session> dial(const KeyPair& identity, Random& random, Options options);
  /// The other end.
  static Result<Session> accept(const KeyPair& identity, Random& random, Options options);

  /// Feeds bytes of the stream, cut anywhere, and returns how many it took: all of them, unless kUnreadBytesMax are
  /// unread; the rest is for after a read.
  /// Errors: forged, bad_message, weak_key, bad_payload, bad_identity, wrong_peer, no_common_muxer, nonces_spent.
  Result<std::size_t> on_bytes(ByteView input);
  /// What has to be sent now; empties it.
  [[nodiscard]] Bytes take_output();
  /// The stream has ended. Errors: truncated if that was in the handshake or inside a frame, and an earlier error. An
  /// end between frames is good, but not proved to be the peer's: the muxer says goodbye itself.
  [[nodiscard]] Result<void> on_end() const;

  /// The peer is known, and so are the keys. A dialler is established before the other end has checked it: the stream
  /// may still be closed at once.
  [[nodiscard]] bool established() const { return transport_.has_value(); }
  /// Who is at the other end. Only once established.
  [[nodiscard]] const PeerId& peer() const;
  /// The muxer that both lists agree on; nothing if either side listed none, and multistream is to choose.
  [[nodiscard]] const std::optional<std::string>& muxer() const { return muxer_; }

  /// Seals from the front of `plaintext` and returns how much it took: all, unless kUnsentBytesMax wait for
  /// take_output(). Errors: not_established, nonces_spent, and an earlier error.
  Result<std::size_t> write(ByteView plaintext);
  /// What the peer wrote and nobody has consumed; valid until the next call that is not const.
  [[nodiscard]] ByteView unread() const { return transport_ ? transport_->unread() : ByteView(); }
  /// Forgets `size` bytes of unread().
  void consume(std::size_t size);
  /// Moves what fits from unread() to `out` and returns its size.
  std::size_t read(std::span<std::byte> out) { return transport_ ? transport_->read(out) : 0; }

 private:
  Session(Role role, const KeyPair& identity, Random& random, Options options);
  static Result<Session> make(Role role, const KeyPair& identity, Random& random, Options options);
  [[nodiscard]] HandshakeState& handshake();
  [[nodiscard]] FrameReader::Sizes next_sizes();
  Result<void> on_message(ByteView message);
  Result<void> on_payload(ByteView bytes);
  Result<void> write_message(ByteView payload);
  void establish();
  std::unexpected<Error> give_up(Error error);

  Role role_;
  Options options_;
  Bytes payload_;
  FrameReader frames_;
  Bytes output_;
  std::optional<HandshakeState> handshake_;
  std::optional<Transport> transport_;
  std::optional<PeerId> peer_;
  std::optional<std::string> muxer_;
  std::error_code failure_;
};

}  // namespace nmp::libp2p::noise
