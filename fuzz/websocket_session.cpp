// fuzz: USES libp2p_websocket
#include <cstddef>
#include <cstdint>

#include "libp2p/websocket/limits.hpp"
#include "libp2p/websocket/session.hpp"

namespace {

using namespace nmp;
using namespace nmp::libp2p::websocket;

struct Outcome {
  std::error_code error;
  std::size_t received = 0;
  bool ended = false;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

/// Feeds `input` in pieces of `step`, reading all the while.
Outcome feed(Session& session, ByteView input, std::size_t step) {
  Outcome outcome;
  while (!input.empty() && !outcome.error) {
    const auto piece = input.first(std::min(step, input.size()));
    auto taken = session.on_bytes(piece);
    if (!taken) outcome.error = taken.error().code;
    NMP_ASSERT(session.unread().size() <= kUnreadBytesMax);
    outcome.received += session.unread().size();
    const bool progress = !session.unread().empty() || (taken && *taken > 0);
    session.consume(session.unread().size());
    NMP_ASSERT(session.take_output().size() <= kUnsentBytesMax + 1024);
    if (taken) input = input.subspan(*taken);
    NMP_ASSERT(outcome.error || progress);
  }
  outcome.ended = session.ended();
  return outcome;
}

Session established(bool client) {
  static SeededRandom random(1);
  auto dialer = Session::dial("h", random);
  auto listener = Session::accept();
  NMP_ASSERT(listener.on_bytes(dialer.take_output()) && dialer.on_bytes(listener.take_output()));
  NMP_ASSERT(dialer.established() && listener.established());
  return client ? std::move(dialer) : std::move(listener);
}

void header(ByteView input) {
  FrameHeaderReader reader;
  auto read = reader.feed(input);
  if (!read || !*read) return;
  const auto encoded = (*read)->encode();
  ByteView again = encoded;
  auto second = FrameHeaderReader().feed(again);
  NMP_ASSERT(second && *second && **second == **read && again.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const auto input = view_of(data, size).subspan(2);
  SeededRandom random(2);
  auto make = [&]() -> Session {
    switch (data[0] % 5) {
      case 0: return Session::accept();
      case 1: return Session::dial("h", random);
      default: return established(data[0] % 5 == 2);
    }
  };
  if (data[0] % 5 == 4) {
    header(input);
    return 0;
  }
  // How the bytes are cut makes no difference.
  random = SeededRandom(2);
  auto whole = make();
  random = SeededRandom(2);
  auto cut = make();
  NMP_ASSERT(feed(whole, input, SIZE_MAX) == feed(cut, input, 1 + data[1]));
  return 0;
}
