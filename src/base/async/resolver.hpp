#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/async/awaitable.hpp"
#include "base/socket_address.hpp"

namespace nmp::async {

/// Asks name servers. Network thread only. What comes back is a stranger's word, bounded by a DNS message (64 KiB).
class Resolver {
 public:
  virtual ~Resolver() = default;

  /// The IPv4 (A) or IPv6 (AAAA) addresses of a name, with port 0; an IP in text is its own answer.
  /// Errors: not_found, io (no server answered, or not as it should), deadline_exceeded, cancelled.
  virtual Awaitable<Result<std::vector<SocketAddress>>> addresses(std::string name, bool is_v6, Instant deadline) = 0;
  /// The TXT records of a name, the strings of each joined. Errors: the same.
  virtual Awaitable<Result<std::vector<std::string>>> texts(std::string name, Instant deadline) = 0;
};

/// The machine's resolver: /etc/hosts for addresses, then the servers of /etc/resolv.conf, or of `servers` if that is
/// not empty ("127.0.0.1:5353", comma-separated). By c-ares: unlike getaddrinfo() it needs no thread for each question,
/// knows TXT, and can be stopped. It outlives its questions.
std::unique_ptr<Resolver> system_resolver(const Executor& executor, std::string servers = {});

}  // namespace nmp::async
