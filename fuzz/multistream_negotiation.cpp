// fuzz: USES libp2p_multistream
#include <cstddef>
#include <cstdint>

#include "base/bytes.hpp"
#include "libp2p/multistream/multistream.hpp"

namespace {

using namespace nmp;
using namespace nmp::libp2p;

struct Outcome {
  bool failed = false;
  std::optional<std::string> agreed;
  std::size_t left = 0;
  Bytes output;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

/// Feeds all of `input` in pieces of `step` bytes until the machine is done.
template <class Machine>
Outcome drive(Machine machine, ByteView input, std::size_t step) {
  Outcome outcome;
  while (!input.empty()) {
    auto piece = input.first(std::min(step, input.size()));
    auto size = piece.size();
    auto result = machine.feed(piece);
    append(outcome.output, machine.take_output());
    if (!result) {
      outcome.failed = true;
      return outcome;
    }
    input = input.subspan(size - piece.size());
    if (*result) {
      outcome.agreed = **result;
      break;
    }
  }
  outcome.left = input.size();
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto input = view_of(data, size);
  auto known = [](std::string_view protocol) { return protocol == "/a" || protocol == "/echo/1.0.0"; };
  // How the bytes are cut makes no difference.
  auto whole = drive(multistream::Listener(known), input, 1U << 20);
  NMP_ASSERT(whole == drive(multistream::Listener(known), input, 1));
  NMP_ASSERT(!whole.agreed || known(*whole.agreed));
  NMP_ASSERT(whole.output.size() <= (multistream::kProposalsMax + 2) * 32);
  auto dialled = drive(multistream::Dialer({"/a", "/b", "/echo/1.0.0"}), input, 1U << 20);
  NMP_ASSERT(dialled == drive(multistream::Dialer({"/a", "/b", "/echo/1.0.0"}), input, 1));
  NMP_ASSERT(!dialled.agreed || *dialled.agreed == "/a" || *dialled.agreed == "/b" || *dialled.agreed == "/echo/1.0.0");
  return 0;
}
