#include <charconv>
#include <cstdio>
#include <fstream>
#include <iterator>

#include <fmt/format.h>

#include "bench.hpp"

namespace nmp::bench {

Result<Options> Options::parse(std::span<char*> words) {
  Options options;
  for (std::size_t i = 0; i < words.size(); i += 2) {
    const std::string_view word = words[i];
    if (!word.starts_with("--")) return fail(Errc::malformed, std::string(word));
    if (i + 1 == words.size()) return fail(Errc::truncated, fmt::format("{} needs a value", word));
    options.values_.insert_or_assign(std::string(word.substr(2)), words[i + 1]);
  }
  return options;
}

std::string Options::text(const std::string& name, std::string otherwise) const {
  auto it = values_.find(name);
  return it == values_.end() ? std::move(otherwise) : it->second;
}

Result<std::size_t> Options::number(const std::string& name, std::size_t otherwise) const {
  if (!has(name)) return otherwise;
  const auto words = text(name);
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(words.data(), words.data() + words.size(), value);
  if (error != std::errc() || end != words.data() + words.size())
    return fail(Errc::malformed, fmt::format("--{} {}", name, words));
  return value;
}

pid_t Options::peer_pid() const { return static_cast<pid_t>(number("peer-pid", 0).value_or(0)); }

void say(const json& line) {
  fmt::print("{}\n", line.dump());
  std::fflush(stdout);
}

Instant in(Duration time) { return async::system_clock().now() + time; }

Result<SocketAddress> parse_endpoint(const std::string& text) {
  const auto colon = text.rfind(':');
  if (colon == std::string::npos) return fail(Errc::malformed, text);
  NMP_TRY(const auto ip, libp2p::IpAddress::parse(text.substr(0, colon)));
  SocketAddress address;
  address.is_v6 = ip.v6;
  std::ranges::copy(ip.view(), address.ip.begin());
  const auto* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, address.port);
  if (error != std::errc() || stop != end) return fail(Errc::malformed, text);
  return address;
}

Result<libp2p::PeerInfo> parse_peer(const std::string& text) {
  NMP_TRY(auto address, libp2p::Multiaddr::parse(text));
  const auto id = address.peer_id();
  if (!id) return fail(Errc::malformed, "an address that ends in /p2p/ID: " + text);
  return libp2p::PeerInfo{*id, {std::move(address)}};
}

Result<Bytes> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file) return fail(Errc::io, path);
  return to_bytes(text);
}

namespace {

using Run = Command (*)(async::MainLoop&, Options);
constexpr std::pair<std::string_view, Run> kCommands[] = {
    {"serve", &serve},
    {"ping", &ping},
    {"bulk", &bulk},
    {"perf", &perf},
    {"idle", &idle},
    {"grpc", &grpc},
    {"dispatch", &dispatch},
    {"sandbox", &sandbox_warm},
    {"compile", &sandbox_compile},
    {"scan", &sandbox_scan},
    {"watchdogs", &watchdogs},
};

async::Awaitable<int> run_command(async::MainLoop& loop, Run run, Options options) {
  auto result = co_await run(loop, std::move(options));
  if (!result) {
    json line;
    line["error"] = result.error().message();
    say(line);
    co_return 1;
  }
  if (!result->is_null()) say(*result);
  co_return 0;
}

int run(std::span<char*> words) {
  auto options = words.empty() ? Result<Options>(fail(Errc::malformed, "a command")) : Options::parse(words.subspan(1));
  const auto* found = words.empty() ? std::end(kCommands)
                                    : std::ranges::find(kCommands, words[0], &std::pair<std::string_view, Run>::first);
  if (!options || found == std::end(kCommands)) {
    fmt::print(stderr, "nmp_bench: what bench/run starts; {}\n",
               options ? "no such command" : options.error().message());
    return 2;
  }
  async::MainLoop loop;
  return loop.run(run_command(loop, found->second, *std::move(options)));
}

}  // namespace
}  // namespace nmp::bench

int main(int argc, char** argv) { return nmp::bench::run(std::span(argv, static_cast<std::size_t>(argc)).subspan(1)); }
