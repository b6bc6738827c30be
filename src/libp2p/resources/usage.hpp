#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

namespace nmp::libp2p::resources {

enum class Direction : std::uint8_t { inbound, outbound };

/// What a scope holds, or what is to be added to it.
struct Usage {
  std::size_t connections_in = 0;
  std::size_t connections_out = 0;
  std::size_t streams_in = 0;
  std::size_t streams_out = 0;
  std::size_t descriptors = 0;
  std::uint64_t memory_bytes = 0;

  [[nodiscard]] std::size_t connections() const { return connections_in + connections_out; }
  [[nodiscard]] std::size_t streams() const { return streams_in + streams_out; }
  friend bool operator==(const Usage&, const Usage&) = default;
  Usage& operator+=(const Usage& more) {
    connections_in += more.connections_in;
    connections_out += more.connections_out;
    streams_in += more.streams_in;
    streams_out += more.streams_out;
    descriptors += more.descriptors;
    memory_bytes += more.memory_bytes;
    return *this;
  }
  Usage& operator-=(const Usage& less) {
    connections_in -= less.connections_in;
    connections_out -= less.connections_out;
    streams_in -= less.streams_in;
    streams_out -= less.streams_out;
    descriptors -= less.descriptors;
    memory_bytes -= less.memory_bytes;
    return *this;
  }
};

/// Ceilings of one scope; what is not named has none. Zero is a ceiling.
struct Limit {
  static constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();
  static constexpr std::uint64_t kNoBytes = std::numeric_limits<std::uint64_t>::max();

  std::size_t connections_in = kNone;
  std::size_t connections_out = kNone;
  std::size_t connections = kNone;
  std::size_t streams_in = kNone;
  std::size_t streams_out = kNone;
  std::size_t streams = kNone;
  std::size_t descriptors = kNone;
  std::uint64_t memory_bytes = kNoBytes;

  friend bool operator==(const Limit&, const Limit&) = default;
};

/// How much of a scope's memory may be in use after a reservation: the less it matters, the earlier it is refused
/// (libp2p.md section 17: 40 %, 60 %, 80 %, all). Only memory is weighed so.
enum class Priority : std::uint8_t { low = 40, medium = 60, high = 80, always = 100 };

}  // namespace nmp::libp2p::resources
