#pragma once

#include "libp2p/yamux/byte_queue.hpp"
#include "libp2p/yamux/frame_codec.hpp"
#include "libp2p/yamux/receive_window.hpp"

namespace nmp::libp2p::yamux {

/// What a Session remembers of one stream.
struct Stream {
  Stream(StreamId number, bool by_us, Instant now) : id(number), ours(by_us), window(now) {}

  StreamId id;
  bool ours;
  bool syn_due = false;     ///< ours, and the peer does not know of it yet
  bool awaits_ack = false;  ///< ours
  bool ack_due = false;     ///< the peer's

  ByteQueue send;
  std::uint32_t send_window = kStreamWindowInitial;
  bool finish_wanted = false;
  bool finish_sent = false;
  bool write_over = false;  ///< reset by either side

  ByteQueue received;
  ReceiveWindow window;
  bool end_received = false;
  bool broken = false;   ///< reading is over without an end
  bool stopped = false;  ///< by our owner, who has not read to the end; `code` is for the RST that may follow

  bool reset_due = false;  ///< RST with `code` is the next and last frame
  std::uint32_t code = 0;
  bool gone = false;      ///< on the wire: nothing is sent any more, what arrives is late
  bool released = false;  ///< by our owner
  std::optional<std::uint32_t> peer_code;

  bool control_queued = false;
  bool send_queued = false;
  bool writer_waits = false;
  bool readable_posted = false;
  bool writable_posted = false;
  std::optional<Instant> lingers_until;

  [[nodiscard]] bool may_send() const { return !gone && !reset_due && !write_over; }
  [[nodiscard]] bool can_send_data() const { return may_send() && !send.empty() && send_window > 0; }
  [[nodiscard]] bool can_send_end() const { return may_send() && send.empty() && finish_wanted && !finish_sent; }
  [[nodiscard]] bool wants_turn() const { return can_send_data() || can_send_end(); }
  [[nodiscard]] bool wants_credit() const {
    return !gone && !reset_due && !end_received && !broken && window.due(received.size());
  }
};

}  // namespace nmp::libp2p::yamux
