// fuzz: USES rpc_h2
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "rpc/h2/message_reader.hpp"

namespace {

using namespace nmp;
using namespace nmp::h2;

constexpr std::size_t kMessageBytesMax = 64UZ << 10;

struct Outcome {
  std::vector<Bytes> messages;
  std::error_code error;
  bool at_boundary = false;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

/// Feeds `input` in pieces of `step` bytes; `stop_at` is how far a message may be known before its reader asks for
/// more.
Outcome drive(Encoding encoding, ByteView input, std::size_t step, std::size_t stop_at) {
  Outcome outcome;
  MessageReader reader(encoding, kMessageBytesMax);
  std::size_t limit = stop_at;
  while (!input.empty()) {
    const auto piece = input.first(std::min(step, input.size()));
    const auto known = reader.partial().size();
    const auto fed = reader.feed(piece, limit);
    if (!fed) {
      outcome.error = fed.error().code;
      return outcome;
    }
    NMP_ASSERT(*fed <= piece.size());
    NMP_ASSERT(reader.partial().size() <= kMessageBytesMax);
    input = input.subspan(*fed);
    if (reader.whole()) {
      outcome.messages.push_back(reader.take());
      limit = stop_at;
    } else if (*fed == 0 && reader.partial().size() == known) {
      // Nothing moves below the limit only when the limit is reached.
      NMP_ASSERT(known >= limit);
      limit += stop_at;
    }
  }
  outcome.at_boundary = reader.at_boundary();
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto input = view_of(data, size).subspan(1);
  const auto encoding = (data[0] & 1U) != 0 ? Encoding::gzip : Encoding::identity;
  // How the bytes are cut makes no difference.
  const auto whole = drive(encoding, input, SIZE_MAX, SIZE_MAX);
  NMP_ASSERT(whole == drive(encoding, input, 1 + data[0] / 8, SIZE_MAX));
  NMP_ASSERT(whole.error != h2::Errc::unexpected_compression || encoding == Encoding::identity);
  NMP_ASSERT(whole.error != h2::Errc::bad_compression || encoding == Encoding::gzip);

  // What is read, written again, reads the same: plain, and compressed.
  for (bool compressed : {false, true}) {
    Bytes wire;
    for (const auto& message : whole.messages) {
      const auto body = compressed ? gzip(message) : message;
      append(wire, message_header(compressed, body.size()));
      append(wire, body);
    }
    const auto again = drive(Encoding::gzip, wire, 1 + data[0], SIZE_MAX);
    // gzip of what does not compress may be longer than the cap on the wire.
    if (again.error == h2::Errc::message_too_large && compressed) continue;
    NMP_ASSERT(!again.error && again.at_boundary);
    NMP_ASSERT(again.messages == whole.messages);
    // A reader that stops early and goes on gets there as well.
    NMP_ASSERT(drive(Encoding::gzip, wire, SIZE_MAX, 4096).messages == whole.messages);
  }
  return 0;
}
