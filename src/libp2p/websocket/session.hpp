#pragma once

#include <optional>
#include <string>

#include "base/random.hpp"
#include "libp2p/websocket/errors.hpp"
#include "libp2p/websocket/frame_header.hpp"
#include "libp2p/websocket/handshake.hpp"

namespace nmp::libp2p::websocket {

enum class Role : std::uint8_t { client, server };

/// One end of one WebSocket as a stream of bytes: the boundaries of messages mean nothing in libp2p. Bytes go in by
/// on_bytes() and out by take_output(); after each call, look for output. Once established(), payload goes in by
/// write() and out by unread() or read(). After an error every call but unread(), consume() and read() returns that
/// error; take_output() may then hold a last word that is worth sending.
class Session {
 public:
  /// The end that opened the connection to `host` (HOST:PORT): its request is ready to be sent. `random` is drawn from
  /// for each frame, since a mask that can be foreseen lets a page write chosen bytes to a proxy (section 10.3); it
  /// outlives the session.
  static Session dial(std::string_view host, Random& random);
  static Session accept();

  /// Feeds bytes of the stream, cut anywhere, and returns how many it took: all of them, unless kUnreadBytesMax are
  /// unread. What follows the peer's Close is dropped. Errors: bad_handshake, bad_frame.
  Result<std::size_t> on_bytes(ByteView input);
  [[nodiscard]] Bytes take_output() { return std::exchange(output_, {}); }
  /// The stream has ended. Errors: truncated unless the peer said goodbye, and an earlier error.
  [[nodiscard]] Result<void> on_end() const;

  [[nodiscard]] bool established() const { return established_; }
  /// The peer has said goodbye: nothing comes after what is unread.
  [[nodiscard]] bool ended() const { return ended_; }

  /// Frames from the front of `payload` and returns how much it took: all, unless kUnsentBytesMax wait for
  /// take_output(). Errors: not_established, and an earlier error.
  Result<std::size_t> write(ByteView payload);
  /// Says goodbye. Idempotent.
  void finish();
  [[nodiscard]] ByteView unread() const { return ByteView(inbox_).subspan(inbox_at_); }
  void consume(std::size_t size);
  /// Moves what fits from unread() to `out` and returns its size.
  std::size_t read(std::span<std::byte> out);

 private:
  Session(Role role, Random* random) : role_(role), random_(random) {}
  Result<void> on_head(std::string_view head);
  Result<void> on_header(const FrameHeader& header);
  void on_payload(ByteView piece);
  Result<void> on_control();
  void put_frame(Opcode opcode, ByteView payload);
  std::unexpected<Error> give_up(Error error);

  Role role_;
  Random* random_;
  HeadReader head_;
  std::string key_;
  bool established_ = false;
  bool ended_ = false;
  bool finished_ = false;
  bool in_message_ = false;  ///< the peer's, of several frames
  FrameHeaderReader headers_;
  std::optional<FrameHeader> frame_;  ///< under way
  std::uint64_t frame_at_ = 0;        ///< of its payload
  Bytes control_;
  Bytes inbox_;
  std::size_t inbox_at_ = 0;
  Bytes output_;
  std::error_code failure_;
};

}  // namespace nmp::libp2p::websocket
