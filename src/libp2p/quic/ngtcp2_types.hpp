#pragma once

// For the .cpp files of this room only: it names ngtcp2 and the system's socket address types.
#include <algorithm>
#include <cstring>

#include <netinet/in.h>
#include <ngtcp2/ngtcp2.h>

#include "base/socket_address.hpp"
#include "base/time.hpp"
#include "libp2p/quic/connection.hpp"

namespace nmp::libp2p::quic {

/// ngtcp2 counts nanoseconds from any zero; 0 and UINT64_MAX have meanings of their own.
inline ngtcp2_tstamp to_timestamp(Instant at) {
  auto value = std::chrono::duration_cast<std::chrono::nanoseconds>(at.time_since_epoch()).count();
  return value < 1 ? 1 : static_cast<ngtcp2_tstamp>(value);
}
inline ngtcp2_duration to_duration(Duration value) {
  return static_cast<ngtcp2_duration>(std::chrono::duration_cast<std::chrono::nanoseconds>(value).count());
}
inline Instant to_instant(ngtcp2_tstamp at) {
  constexpr auto kMax = static_cast<ngtcp2_tstamp>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(kNever.time_since_epoch()).count());
  if (at >= kMax) return kNever;
  return Instant(std::chrono::duration_cast<Duration>(std::chrono::nanoseconds(at)));
}

inline Cid to_cid(const ngtcp2_cid& from) {
  Cid to;
  to.size = static_cast<std::uint8_t>(std::min<std::size_t>(from.datalen, to.bytes.size()));
  std::memcpy(to.bytes.data(), from.data, to.size);
  return to;
}
inline ngtcp2_cid from_cid(const Cid& from) {
  ngtcp2_cid to;
  ngtcp2_cid_init(&to, u8(ByteView(from.bytes)), from.size);
  return to;
}

/// A SocketAddress in the system's form.
class OsAddress {
 public:
  explicit OsAddress(const SocketAddress& from) {
    std::memset(&storage_, 0, sizeof storage_);
    if (from.is_v6) {
      storage_.v6.sin6_family = AF_INET6;
      storage_.v6.sin6_port = htons(from.port);
      storage_.v6.sin6_scope_id = from.scope_id;
      std::memcpy(&storage_.v6.sin6_addr, from.ip.data(), 16);
      size_ = sizeof storage_.v6;
    } else {
      storage_.v4.sin_family = AF_INET;
      storage_.v4.sin_port = htons(from.port);
      std::memcpy(&storage_.v4.sin_addr, from.ip.data(), 4);
      size_ = sizeof storage_.v4;
    }
  }
  [[nodiscard]] sockaddr* get() { return &storage_.any; }
  [[nodiscard]] socklen_t size() const { return size_; }
  [[nodiscard]] ngtcp2_addr view() { return {get(), size_}; }

 private:
  union {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
  } storage_;
  socklen_t size_ = 0;
};

inline SocketAddress from_os(const ngtcp2_addr& from) {
  SocketAddress to;
  if (from.addr == nullptr) return to;
  if (from.addr->sa_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, from.addr, sizeof v6);
    to.is_v6 = true;
    to.port = ntohs(v6.sin6_port);
    to.scope_id = v6.sin6_scope_id;
    std::memcpy(to.ip.data(), &v6.sin6_addr, 16);
  } else {
    sockaddr_in v4;
    std::memcpy(&v4, from.addr, sizeof v4);
    to.port = ntohs(v4.sin_port);
    std::memcpy(to.ip.data(), &v4.sin_addr, 4);
  }
  return to;
}

}  // namespace nmp::libp2p::quic
