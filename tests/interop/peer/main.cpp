// Our libp2p host behind the command line that all peers of tests/interop share: README.md there.
//   nmp_interop_peer --listen MULTIADDR [--kad-serve] [--retry]
//   nmp_interop_peer --dial MULTIADDR/p2p/ID --do
//   ping|identify|echo|perf|refuse-wrong-peer|kad-find|kad-provide|kad-put|kad-get
// --keylog FILE: TLS secrets. --security tls|noise: over TCP, that alone. --retry (or NMP_RETRY in the environment):
// demand a QUIC Retry of every dialler.
// --events: connections as they come and go, on stderr.
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/async/main_loop.hpp"
#include "base/async/task_group.hpp"
#include "base/encoding.hpp"
#include "crypto/random.hpp"
#include "kad_mode.hpp"
#include "libp2p/host/host.hpp"
#include "libp2p/host/perf_service.hpp"

namespace nmp::interop {
namespace {

using libp2p::Host;
using libp2p::Multiaddr;
using libp2p::PeerId;
using nlohmann::json;
using std::chrono::milliseconds;

constexpr std::string_view kEcho = "/echo/1.0.0";

void say(const json& line) {
  fmt::print("{}\n", line.dump());
  std::fflush(stdout);
}

Instant in(Duration time) { return async::system_clock().now() + time; }

/// `--name value`, or `--name` alone for the switches.
class Options {
 public:
  static Result<Options> parse(std::span<char*> words) {
    Options options;
    for (std::size_t i = 0; i < words.size(); ++i) {
      std::string_view word = words[i];
      if (!word.starts_with("--")) return fail(Errc::malformed, std::string(word));
      word.remove_prefix(2);
      if (word == "version" || word == "kad-serve" || word == "retry" || word == "events") {
        options.values_.insert_or_assign(std::string(word), "");
        continue;
      }
      if (++i == words.size()) return fail(Errc::truncated, fmt::format("--{} needs a value", word));
      if (word == "kad-find" || word == "kad-provide" || word == "kad-put" || word == "kad-get") {
        options.values_.insert_or_assign("do", std::string(word));
        word = "key";
      }
      options.values_.insert_or_assign(std::string(word), words[i]);
    }
    return options;
  }

  [[nodiscard]] bool has(const std::string& name) const { return values_.contains(name); }
  [[nodiscard]] std::string text(const std::string& name, std::string otherwise = {}) const {
    auto it = values_.find(name);
    return it == values_.end() ? std::move(otherwise) : it->second;
  }
  [[nodiscard]] Result<std::size_t> number(const std::string& name, std::size_t otherwise) const {
    if (!has(name)) return otherwise;
    return parse_number(text(name));
  }
  /// `12s` or `100ms`.
  [[nodiscard]] Result<Duration> duration(const std::string& name, Duration otherwise) const {
    if (!has(name)) return otherwise;
    auto words = text(name);
    bool ms = words.ends_with("ms");
    if (!ms && !words.ends_with("s")) return fail(Errc::malformed, fmt::format("--{} {}", name, words));
    words.resize(words.size() - (ms ? 2 : 1));
    NMP_TRY(const auto value, parse_number(words));
    return ms ? Duration(milliseconds(value)) : Duration(std::chrono::seconds(value));
  }

 private:
  static Result<std::size_t> parse_number(const std::string& text) {
    std::size_t value = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return fail(Errc::malformed, text + " is no number");
    return value;
  }
  std::map<std::string, std::string> values_;
};

class Reporter final : public libp2p::HostObserver {
 public:
  void connected(const PeerId& peer, const Multiaddr& address, bool inbound) override {
    fmt::print(stderr, "connected {} {} {}\n", inbound ? "from" : "to", peer.to_text(), address.to_text());
  }
  void disconnected(const PeerId& peer) override { fmt::print(stderr, "disconnected {}\n", peer.to_text()); }
  void identified(const PeerId& peer, const libp2p::PeerDetails& details) override {
    fmt::print(stderr, "identified {} {}\n", peer.to_text(), escape_text(details.agent_version));
  }
};

async::Awaitable<void> serve_echo(libp2p::StreamPtr stream) {
  Bytes piece(16UZ * 1024);
  for (;;) {
    auto size = co_await stream->read_some(piece);
    if (!size) co_return;
    if (*size == 0) break;
    auto written = co_await stream->write(ByteView(piece).first(*size));
    if (!written) co_return;
  }
  (void)co_await stream->close_write();
}

async::Awaitable<Result<json>> do_ping(
    Host& host, PeerId peer, std::size_t count, Duration interval, Instant deadline) {
  std::vector<std::int64_t> rtts;
  for (std::size_t i = 0; i < count; ++i) {
    if (i > 0) NMP_CO_CHECK(co_await async::sleep_until(in(interval)));
    NMP_CO_TRY(const auto rtt, co_await host.ping(peer, deadline));
    rtts.push_back(std::chrono::duration_cast<std::chrono::microseconds>(rtt).count());
  }
  json result;
  result["rtt_us"] = rtts;
  co_return result;
}

async::Awaitable<Result<json>> do_identify(Host& host, PeerId peer, Instant deadline) {
  while (!host.details(peer)) {
    if (async::system_clock().now() >= deadline) co_return fail(Errc::deadline_exceeded, "identify");
    NMP_CO_CHECK(co_await async::sleep_until(in(milliseconds(10))));
  }
  auto details = *host.details(peer);
  std::vector<std::string> addresses;
  for (const auto& address : details.listen_addresses) addresses.push_back(address.to_text());
  json result;
  result["agent"] = details.agent_version;
  result["protocol_version"] = details.protocol_version;
  result["protocols"] = details.protocols;
  result["listen_addrs"] = addresses;
  result["observed_addr"] = details.observed_address ? details.observed_address->to_text() : "";
  result["signed_record"] = details.signed_record;
  co_return result;
}

async::Awaitable<void> send_all(libp2p::Stream& stream, const Bytes& data) {
  auto sent = co_await stream.write(data);
  if (sent) sent = co_await stream.close_write();
  if (!sent) fmt::print(stderr, "echo: write: {}\n", sent.error().message());
}

async::Awaitable<Result<Bytes>> read_all(libp2p::Stream& stream, std::size_t size_max) {
  Bytes all;
  Bytes piece(64UZ * 1024);
  for (;;) {
    auto size = co_await stream.read_some(piece);
    if (!size) {
      co_return fail(size.error().code, fmt::format("read after {} bytes: {}", all.size(), size.error().context));
    }
    if (*size == 0) co_return all;
    if (all.size() + *size > size_max) co_return fail(Errc::too_large, "more came back than was sent");
    append(all, ByteView(piece).first(*size));
  }
}

async::Awaitable<Result<json>> do_echo(Host& host, PeerId peer, Bytes data, Instant deadline) {
  std::vector<std::string> protocols{std::string(kEcho)};
  NMP_CO_TRY(auto stream, co_await host.open_stream(peer, std::move(protocols), deadline));
  async::TaskGroup sender(host.executor());
  sender.spawn(send_all(*stream, data));
  auto back = co_await async::with_deadline(deadline, read_all(*stream, data.size()));
  co_await sender.close();
  if (!back) co_return fail(std::move(back).error());
  if (*back != data) {
    co_return fail(Errc::malformed, fmt::format("sent {} bytes, {} came back and differ", data.size(), back->size()));
  }
  json result;
  result["bytes"] = back->size();
  co_return result;
}

async::Awaitable<Result<json>> do_perf(
    Host& host, PeerId peer, std::uint64_t upload, std::uint64_t download, Instant deadline) {
  NMP_CO_TRY(const auto report, co_await libp2p::measure_perf(host, std::move(peer), upload, download, deadline));
  json result;
  result["upload"] = upload;
  result["download"] = download;
  result["seconds"] = std::chrono::duration<double>(report.upload + report.download).count();
  co_return result;
}

/// Right only if the identity was the reason.
async::Awaitable<Result<json>> do_refuse_wrong_peer(Host& host, Multiaddr target, Instant deadline) {
  auto wrong = PeerId::of(libp2p::KeyPair::generate(crypto::system_random()).public_key());
  libp2p::PeerInfo info{wrong, {target.with_peer(wrong)}};
  auto connected = co_await host.connect(std::move(info), deadline);
  if (connected) co_return fail(Errc::malformed, "connected to a peer id nobody there has");
  if (connected.error().code != make_error_code(libp2p::host::Errc::wrong_peer)) {
    co_return fail(connected.error().code, "failed for another reason: " + connected.error().context);
  }
  json result;
  result["refused"] = connected.error().message();
  co_return result;
}

async::Awaitable<Result<json>> do_kad(libp2p::Dht& dht, const Options& options, Instant deadline) {
  KadTask task;
  task.what = options.text("do");
  NMP_CO_TRY(task.key, hex_decode(options.text("key")));
  NMP_CO_TRY(task.value, hex_decode(options.text("value")));
  co_return co_await run_kad(dht, std::move(task), deadline);
}

async::Awaitable<Result<json>> dial(Host& host, libp2p::Dht* dht, const Options& options, Multiaddr target) {
  NMP_CO_TRY(const auto timeout, options.duration("timeout", std::chrono::seconds(20)));
  NMP_CO_TRY(const auto wait, options.duration("wait", Duration::zero()));
  NMP_CO_TRY(const auto interval, options.duration("interval", Duration::zero()));
  NMP_CO_TRY(const auto count, options.number("count", 3));
  NMP_CO_TRY(const auto size, options.number("bytes", 1UZ << 20));
  NMP_CO_TRY(const auto upload, options.number("upload", 1UZ << 20));
  NMP_CO_TRY(const auto download, options.number("download", 1UZ << 20));
  auto deadline = in(timeout);
  auto what = options.text("do");
  const auto peer = target.peer_id();
  if (!peer) co_return fail(Errc::malformed, "--dial needs an address that ends in /p2p/ID");
  if (what == "refuse-wrong-peer") co_return co_await do_refuse_wrong_peer(host, target, deadline);
  libp2p::PeerInfo info{*peer, {target}};
  auto connected = co_await host.connect(std::move(info), deadline);
  if (!connected) co_return fail(connected.error().code, "connect: " + connected.error().context);
  NMP_CO_CHECK(co_await async::sleep_until(in(wait)));
  if (what == "ping") co_return co_await do_ping(host, *peer, count, interval, deadline);
  if (what == "identify") co_return co_await do_identify(host, *peer, deadline);
  if (what == "perf") co_return co_await do_perf(host, *peer, upload, download, deadline);
  if (dht != nullptr) co_return co_await do_kad(*dht, options, deadline);
  if (what != "echo") co_return fail(Errc::unsupported, "--do " + what);
  Bytes data(size);
  crypto::system_random().fill(data);
  if (options.has("text")) data = to_bytes(options.text("text"));
  co_return co_await do_echo(host, *peer, std::move(data), deadline);
}

async::Awaitable<int> run_on(async::MainLoop& loop, Host& host, const Options& options) {
  std::vector<std::string> addresses;
  for (const auto& address : host.listen_addresses()) addresses.push_back(address.with_peer(host.id()).to_text());
  json line;
  if (options.has("listen")) {
    line["addrs"] = addresses;
    line["peer_id"] = host.id().to_text();
  }
  std::vector<libp2p::PeerInfo> join;
  auto target = Multiaddr::parse(options.text("dial"));
  if (options.has("dial") && target && target->peer_id()) {
    libp2p::PeerInfo info{*target->peer_id(), {*target}};
    join.push_back(std::move(info));
  }
  std::unique_ptr<libp2p::Dht> dht;
  if (options.has("kad-serve") || options.text("do").starts_with("kad-")) {
    dht = make_dht(host, options.text("kad-protocol", "/nmp/kad/1.0.0"), options.has("listen"), std::move(join));
  }
  int code = 0;
  if (options.has("dial")) {
    line["do"] = options.text("do");
    Result<json> result = fail(Errc::malformed, "--dial");
    if (target) result = co_await loop.interruptible(dial(host, dht.get(), options, *target));
    line["ok"] = result.has_value();
    if (result) {
      line.update(*result);
    } else {
      line["error"] = result.error().message();
      code = 1;
    }
  }
  say(line);
  if (code == 0 && options.has("listen")) co_await loop.until_interrupted();
  if (dht) co_await dht->close();
  co_await host.close();
  co_return code;
}

int usage(const std::string& error) {
  json line;
  line["do"] = "usage";
  line["ok"] = false;
  line["error"] = error;
  say(line);
  return 2;
}

}  // namespace
}  // namespace nmp::interop

int main(int argc, char** argv) {
  using namespace nmp;
  using namespace nmp::interop;
  auto options = Options::parse(std::span(argv, static_cast<std::size_t>(argc)).subspan(1));
  if (!options) return usage(options.error().message());
  libp2p::HostOptions host_options(libp2p::KeyPair::generate(crypto::system_random()));
  if (options->has("version")) {
    json line;
    line["name"] = "nmp";
    line["version"] = host_options.agent_version.substr(host_options.agent_version.find('/') + 1);
    say(line);
    return 0;
  }
  if (!options->has("listen") && !options->has("dial")) return usage("--listen or --dial");
  if (options->has("listen")) {
    auto address = Multiaddr::parse(options->text("listen"));
    if (!address) return usage(address.error().message());
    host_options.listen.push_back(*std::move(address));
  }
  if (options->has("security")) {
    const auto wanted = options->text("security");
    if (wanted != "tls" && wanted != "noise") return usage("--security " + wanted);
    host_options.security = {wanted == "tls" ? libp2p::Security::tls : libp2p::Security::noise};
  }
  if (options->has("keylog")) host_options.key_log = options->text("keylog");
  if (options->has("retry") || std::getenv("NMP_RETRY") != nullptr) host_options.limits.retry_threshold = 0;
  async::MainLoop loop;
  auto host = libp2p::Host::make(loop.executor(), std::move(host_options));
  if (!host) return usage(host.error().message());
  Reporter reporter;
  if (options->has("events")) (*host)->add_observer(&reporter);
  (*host)->handle(std::string(kEcho), serve_echo);
  libp2p::serve_perf(**host);
  return loop.run(run_on(loop, **host, *options));
}
