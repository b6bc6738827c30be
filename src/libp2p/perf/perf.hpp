#pragma once

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "libp2p/perf/limits.hpp"

/// `/perf/1.0.0` (github.com/libp2p/specs, perf/perf.md): the client sends eight bytes, big-endian, how many bytes it
/// wants back, then bytes of its own until it half-closes; the server reads them all, then sends as many as it was
/// asked for and half-closes. What the bytes say means nothing.
namespace nmp::libp2p::perf {

inline constexpr std::string_view kProtocol = "/perf/1.0.0";
inline constexpr std::size_t kRequestBytes = 8;

/// What the client says first.
[[nodiscard]] ByteArray<kRequestBytes> encode_request(std::uint64_t download_bytes);

struct Limits {
  std::uint64_t upload_bytes_max = kUploadBytesMax;
  std::uint64_t download_bytes_max = kDownloadBytesMax;
};

/// The serving side: the request and two counters, whatever the peer sends.
class Responder {
 public:
  explicit Responder(Limits limits = {}) : limits_(limits) {}

  /// What the client has sent, in any pieces. Errors: too_large for what is wanted or brought beyond the limits: reset
  /// the stream.
  Result<void> feed(ByteView input);
  /// The client has half-closed: how many bytes to send back. Errors: truncated without a whole request.
  [[nodiscard]] Result<std::uint64_t> end() const;
  [[nodiscard]] std::uint64_t uploaded() const { return uploaded_; }

 private:
  Limits limits_;
  std::uint64_t wanted_ = 0;
  std::uint64_t uploaded_ = 0;
  std::size_t request_read_ = 0;
};

/// The asking side, once it has half-closed: counts what comes back.
class Download {
 public:
  explicit Download(std::uint64_t wanted) : left_(wanted) {}

  /// Errors: malformed if more comes than was asked for.
  Result<void> feed(std::size_t bytes);
  /// The server has half-closed. Errors: truncated if less came than was asked for.
  [[nodiscard]] Result<void> end() const;

 private:
  std::uint64_t left_;
};

}  // namespace nmp::libp2p::perf
