#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "libp2p/tls/context.hpp"
#include "libp2p/tls/errors.hpp"
#include "libp2p/tls/limits.hpp"

/// libp2p's TLS 1.3 (libp2p/specs tls/tls.md; libp2p.md sections 5 and 9): `/tls/1.0.0` on one byte stream. Departures:
/// a peer that agrees on no protocol by ALPN is refused; what is read of a stranger until the handshake is over is at
/// most kHandshakeBytesMax.
namespace nmp::libp2p::tls {

inline constexpr std::string_view kProtocol = "/tls/1.0.0";

struct Options {
  /// Who must be at the other end. A dialler that does not say takes whoever answers.
  std::optional<PeerId> expected;
  /// Our muxers in order of preference, for the early negotiation; `libp2p` is offered after them.
  std::vector<std::string> muxers;
  /// Records under one key of ours; then the next one.
  std::uint64_t records_per_key = kRecordsPerKeyMax;
};

/// One end of one stream. Bytes go in by on_bytes() and out by take_output(); after each call, look for output. Once
/// established(), plaintext goes in by write() and out by unread() or read(). TLS draws its chance itself.
/// After an error every call but unread(), consume() and read() returns that error. take_output() may then hold an
/// alert, which names the kind of failure and no more: worth sending before the stream is dropped.
class Session {
 public:
  /// The end that opened the TCP connection: its first message is ready to be sent. `context` outlives the session.
  /// Errors: setup (more muxers than kMuxersMax, or too long a name, among others).
  static Result<Session> dial(Context& context, Options options);
  /// The other end.
  static Result<Session> accept(Context& context, Options options);
  Session(Session&& other) noexcept;
  Session& operator=(Session&& other) noexcept;
  ~Session();

  /// Feeds bytes of the stream, cut anywhere, and returns how many it took: all of them, unless kUnreadBytesMax are
  /// unread; the rest is for after a read. What follows the peer's goodbye is dropped.
  /// Errors: certificate, wrong_peer, self_dial, handshake, record.
  Result<std::size_t> on_bytes(ByteView input);
  /// What has to be sent now; empties it.
  [[nodiscard]] Bytes take_output();
  /// The stream has ended. Errors: truncated unless the peer said goodbye, and an earlier error.
  [[nodiscard]] Result<void> on_end() const;

  /// The peer is known, and so are the keys. A dialler is established before the other end has checked it: the stream
  /// may still be closed at once.
  [[nodiscard]] bool established() const;
  /// Who is at the other end. Only once established.
  [[nodiscard]] const PeerId& peer() const;
  /// The muxer that both agreed on; nothing if that was `libp2p`, and multistream is to choose.
  [[nodiscard]] const std::optional<std::string>& muxer() const;
  /// The peer has said goodbye: nothing comes after what is unread.
  [[nodiscard]] bool ended() const;

  /// Seals from the front of `plaintext` and returns how much it took: all, unless kUnsentBytesMax wait for
  /// take_output(). Errors: not_established, record (GnuTLS failed; or after finish()), and an earlier error.
  Result<std::size_t> write(ByteView plaintext);
  /// Says goodbye: the last that is sent. Only once established; idempotent.
  void finish();
  /// What the peer wrote and nobody has consumed; valid until the next call that is not const.
  [[nodiscard]] ByteView unread() const;
  /// Forgets `size` bytes of unread().
  void consume(std::size_t size);
  /// Moves what fits from unread() to `out` and returns its size.
  std::size_t read(std::span<std::byte> out);

 private:
  class Impl;
  explicit Session(std::unique_ptr<Impl> impl);
  static Result<Session> make(Context& context, bool inbound, Options options);
  std::unique_ptr<Impl> impl_;
};

}  // namespace nmp::libp2p::tls
