#include "libp2p/host/negotiate.hpp"

#include <algorithm>

namespace nmp::libp2p {

namespace {

template <class Machine>
async::Awaitable<Result<Negotiated>> settle(async::ByteStream& stream, Machine machine, Bytes early) {
  std::array<std::byte, 1024> piece;
  for (;;) {
    ByteView input = early;
    auto agreed = machine.feed(input);
    const auto output = machine.take_output();
    if (!output.empty()) {
      auto written = co_await stream.write(output);
      if (!written && agreed) co_return std::unexpected(std::move(written).error());
    }
    if (!agreed) co_return std::unexpected(std::move(agreed).error());
    if (*agreed) {
      Negotiated out;
      out.protocol = **std::move(agreed);
      out.early = to_bytes(input);
      co_return std::move(out);
    }
    NMP_CO_TRY(const auto size, co_await stream.read_some(piece));
    if (size == 0) co_return fail(Errc::truncated, "the stream ended during negotiation");
    early = to_bytes(ByteView(piece).first(size));
  }
}

}  // namespace

async::Awaitable<Result<Negotiated>> propose(async::ByteStream& stream,
                                             std::vector<std::string> protocols,
                                             Bytes early) {
  multistream::Dialer dialer(std::move(protocols));
  co_return co_await settle(stream, std::move(dialer), std::move(early));
}

async::Awaitable<Result<Negotiated>> answer(async::ByteStream& stream, std::vector<std::string> known, Bytes early) {
  multistream::Listener::Known is_known = [known = std::move(known)](std::string_view protocol) {
    return std::ranges::find(known, protocol) != known.end();
  };
  multistream::Listener listener(std::move(is_known));
  co_return co_await settle(stream, std::move(listener), std::move(early));
}

}  // namespace nmp::libp2p
