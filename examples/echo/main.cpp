// `echo` prints where it listens and sends back what it is sent; `echo ADDRESS TEXT [MS]` sends TEXT there and waits MS
// for the answer. Every wait has a deadline: a peer that stops in the middle of anything holds neither side.
#include <cstdio>
#include <cstdlib>

#include "base/async/main_loop.hpp"
#include "base/async/with_deadline.hpp"
#include "crypto/random.hpp"
#include "libp2p/host/host.hpp"

using namespace nmp;
using namespace nmp::libp2p;
using namespace std::chrono_literals;

namespace {

constexpr const char* kProtocol = "/echo/1.0.0";

Instant in(Duration time) { return async::system_clock().now() + time; }

// Serves one stream: each message within five seconds of the last, all within a minute.
async::Awaitable<void> serve(StreamPtr stream) {
  auto end = in(60s);
  Bytes buffer(16 * 1024);
  while (true) {
    auto size = co_await async::with_deadline(std::min(end, in(5s)), stream->read_some(buffer));
    if (!size) co_return stream->reset(stream_code::kGarbageCollected);
    if (*size == 0) break;
    auto data = ByteView(buffer).first(*size);
    auto written = co_await async::with_deadline(std::min(end, in(5s)), stream->write(data));
    if (!written) co_return stream->reset(stream_code::kGarbageCollected);
  }
  (void)co_await stream->close_write();
}

// Sends `text` and reads until as much has come back; one deadline for all of it, dialling included.
async::Awaitable<Result<std::string>> ask(Host* host, Multiaddr to, std::string text, Instant deadline) {
  auto peer = to.peer_id();
  if (!peer) co_return fail(Errc::malformed, "the address names no peer");
  host->add_addresses(*peer, {to}, 1h);
  std::vector<std::string> protocols{kProtocol};
  NMP_CO_TRY(auto stream, co_await host->open_stream(*peer, std::move(protocols), deadline));
  NMP_CO_CHECK(co_await async::with_deadline(deadline, stream->write(bytes_of(text))));
  std::string answer(text.size(), '\0');
  auto bytes = std::as_writable_bytes(std::span(answer));
  NMP_CO_CHECK(co_await async::with_deadline(deadline, async::read_exactly(*stream, bytes)));
  (void)co_await stream->close_write();
  co_return answer;
}

async::Awaitable<int> run(async::MainLoop* loop, std::vector<std::string> arguments) {
  HostOptions options(KeyPair::generate(crypto::system_random()));
  options.listen = {Multiaddr::parse("/ip4/127.0.0.1/udp/0/quic-v1").value()};
  auto host = std::move(Host::make(loop->executor(), std::move(options)).value());
  int status = 0;
  if (arguments.empty()) {
    host->handle(kProtocol, [](StreamPtr stream) { return serve(std::move(stream)); });
    std::puts(host->listen_addresses()[0].with_peer(host->id()).to_text().c_str());
    std::fflush(stdout);
    co_await loop->until_interrupted();
  } else if (auto to = Multiaddr::parse(arguments[0]); to && arguments.size() >= 2) {
    auto wait = std::chrono::milliseconds(arguments.size() > 2 ? std::atoi(arguments[2].c_str()) : 5000);
    auto answer = co_await ask(host.get(), *to, arguments[1], in(wait));
    if (answer)
      std::puts(answer->c_str());
    else
      status = 1, std::fprintf(stderr, "%s\n", answer.error().message().c_str());
  } else {
    status = 2, std::fputs("echo [ADDRESS TEXT [MS]]\n", stderr);
  }
  co_await host->close();
  co_return status;
}

}  // namespace

int main(int argc, char** argv) {
  async::MainLoop loop;
  std::vector<std::string> arguments(argv + 1, argv + argc);
  return loop.run(run(&loop, std::move(arguments)));
}
