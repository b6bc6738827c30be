#pragma once

#include <map>
#include <span>
#include <string>

#include "base/async/main_loop.hpp"
#include "base/result.hpp"
#include "base/socket_address.hpp"
#include "libp2p/host/host.hpp"
#include "measure.hpp"

/// One program, one measurement a command; each prints one JSON line and ends, except what serves until it is killed.
namespace nmp::bench {

/// `--name value` words after the command.
class Options {
 public:
  /// Errors: malformed, truncated.
  static Result<Options> parse(std::span<char*> words);
  [[nodiscard]] bool has(const std::string& name) const { return values_.contains(name); }
  [[nodiscard]] std::string text(const std::string& name, std::string otherwise = {}) const;
  /// Errors: malformed.
  [[nodiscard]] Result<std::size_t> number(const std::string& name, std::size_t otherwise) const;
  /// `--peer-pid`: whose CPU time counts beside our own; 0: nobody's.
  [[nodiscard]] pid_t peer_pid() const;

 private:
  std::map<std::string, std::string> values_;
};

void say(const json& line);
[[nodiscard]] Instant in(Duration time);
/// "127.0.0.1:4001". Errors: malformed.
Result<SocketAddress> parse_endpoint(const std::string& text);
/// An address that ends in /p2p/ID. Errors: malformed.
Result<libp2p::PeerInfo> parse_peer(const std::string& text);
/// Errors: io.
Result<Bytes> read_file(const std::string& path);

/// No measurement takes longer.
inline constexpr std::chrono::seconds kPatience{120};
inline constexpr std::string_view kGrpcProtocol = "/nmp/grpc/1.0.0";

using Command = async::Awaitable<Result<json>>;
Command serve(async::MainLoop& loop, Options options);
Command ping(async::MainLoop& loop, Options options);
Command bulk(async::MainLoop& loop, Options options);
Command perf(async::MainLoop& loop, Options options);
Command idle(async::MainLoop& loop, Options options);
Command grpc(async::MainLoop& loop, Options options);
Command dispatch(async::MainLoop& loop, Options options);
Command sandbox_warm(async::MainLoop& loop, Options options);
Command sandbox_compile(async::MainLoop& loop, Options options);
Command sandbox_scan(async::MainLoop& loop, Options options);
Command watchdogs(async::MainLoop& loop, Options options);

}  // namespace nmp::bench
