#include "libp2p/yamux/errors.hpp"

namespace nmp::libp2p::yamux {

std::error_code make_error_code(Errc code) {
  static const EnumCategory<Errc> category("yamux", [](Errc value) -> std::string_view {
    switch (value) {
      case Errc::local_close: return "local_close";
      case Errc::peer_close: return "peer_close";
      case Errc::transport_closed: return "transport_closed";
      case Errc::ping_timeout: return "ping_timeout";
      case Errc::bad_version: return "bad_version";
      case Errc::bad_type: return "bad_type";
      case Errc::bad_flags: return "bad_flags";
      case Errc::bad_stream_id: return "bad_stream_id";
      case Errc::wrong_parity: return "wrong_parity of a stream id";
      case Errc::stream_reused: return "stream_reused";
      case Errc::unknown_stream: return "unknown_stream";
      case Errc::opened_after_go_away: return "opened_after_go_away";
      case Errc::frame_too_large: return "frame_too_large";
      case Errc::window_exceeded: return "window_exceeded";
      case Errc::window_overflow: return "window_overflow";
      case Errc::data_after_end: return "data_after_end";
      case Errc::open_flood: return "open_flood";
      case Errc::reset_flood: return "reset_flood";
      case Errc::ping_flood: return "ping_flood";
      case Errc::idle_flood: return "idle_flood";
      case Errc::refusal_flood: return "refusal_flood";
      case Errc::stream_limit: return "stream_limit";
      case Errc::going_away: return "going_away";
      case Errc::ids_exhausted: return "ids_exhausted";
    }
    return "unknown";
  });
  return {static_cast<int>(code), category};
}

}  // namespace nmp::libp2p::yamux
