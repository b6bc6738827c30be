#pragma once

#include <memory>
#include <string>

#include "base/async/byte_stream.hpp"
#include "base/socket_address.hpp"

namespace nmp::async {

/// Accepts TCP or unix-domain connections as byte streams. Network thread only.
class StreamListener {
 public:
  /// Port 0 picks one. Errors: io (address in use, ...).
  static Result<std::unique_ptr<StreamListener>> tcp(const Executor& executor, const SocketAddress& address);
  /// A socket file that only the owner may use. A file at `path` that nobody listens on is replaced.
  /// Errors: io, already_exists (somebody listens there, or it is no socket), too_large (the path).
  static Result<std::unique_ptr<StreamListener>> unix_socket(const Executor& executor, const std::string& path);
  StreamListener(const StreamListener&) = delete;
  StreamListener& operator=(const StreamListener&) = delete;
  ~StreamListener();

  [[nodiscard]] std::uint16_t port() const;
  struct Accepted {
    ByteStreamPtr stream;
    std::string address;   ///< host:port of the peer, or "unix"
    SocketAddress remote;  ///< TCP only
  };
  /// Errors: cancelled, closed, io (out of descriptors: wait before trying again).
  Awaitable<Result<Accepted>> accept();
  /// Ends a pending accept() with `closed`.
  void close();

 private:
  class Impl;
  explicit StreamListener(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;  // the listener and its pending accept
};

/// Errors: io, cancelled, deadline_exceeded.
Awaitable<Result<ByteStreamPtr>> dial_tcp(SocketAddress address, Instant deadline);
Awaitable<Result<ByteStreamPtr>> dial_unix(std::string path, Instant deadline);

}  // namespace nmp::async
