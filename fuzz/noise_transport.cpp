// fuzz: USES libp2p_noise
#include <cstddef>
#include <cstdint>

#include "base/codec.hpp"
#include "libp2p/noise/limits.hpp"
#include "libp2p/noise/transport.hpp"

namespace {

using namespace nmp;
using namespace nmp::libp2p::noise;

SecretBytes<32> key(int byte) {
  SecretBytes<32> out;
  out.mutable_view()[0] = static_cast<std::byte>(byte);
  return out;
}

/// Bytes of somebody who holds no key: no byte of plaintext, and how they are cut makes no difference.
std::error_code strange(ByteView input, std::size_t step) {
  Transport end(CipherState(key(1)), CipherState(key(2)));
  while (!input.empty()) {
    auto piece = input.first(std::min(step, input.size()));
    auto taken = end.on_bytes(piece);
    NMP_ASSERT(end.unread().empty());
    if (!taken) {
      NMP_ASSERT(!end.write(bytes_of("x")) && !end.on_end() && end.take_output().empty());
      return taken.error().code;
    }
    NMP_ASSERT(*taken == piece.size());
    input = input.subspan(piece.size());
  }
  return {};
}

/// Two ends, driven by the input as a script. The reader gets what was written, or less and an error if the wire
/// changed something.
void between(ByteView script) {
  Transport left(CipherState(key(1)), CipherState(key(2)));
  Transport right(CipherState(key(2)), CipherState(key(1)));
  Bytes written;
  Bytes wire;
  std::size_t wire_at = 0;
  Bytes got;
  bool changed = false;
  bool failed = false;
  auto deliver = [&](std::size_t size) {
    if (failed) return;
    auto rest = ByteView(wire).subspan(wire_at);
    auto taken = right.on_bytes(rest.first(std::min(size, rest.size())));
    NMP_ASSERT(right.unread().size() <= kUnreadBytesMax + kPlaintextBytesMax);
    NMP_ASSERT(changed || taken);
    failed = !taken;
    if (taken) wire_at += *taken;
  };
  auto read = [&](std::size_t size) {
    Bytes out(size);
    out.resize(right.read(out));
    append(got, out);
    return !out.empty();
  };
  auto send = [&] { append(wire, left.take_output()); };
  Reader reader(script);
  while (reader.size() >= 2) {
    const auto operation = *reader.u8();
    const auto argument = *reader.u8();
    switch (operation % 6) {
      case 0:
      case 1: {
        if (written.size() > (1U << 18)) break;
        Bytes plaintext(argument * (operation % 6 == 0 ? 1UZ : 1000UZ), static_cast<std::byte>(written.size() % 251));
        auto taken = left.write(plaintext);
        NMP_ASSERT(taken);
        append(written, ByteView(plaintext).first(*taken));
        break;
      }
      case 2: send(); break;
      case 3: deliver(argument * 257UZ); break;
      case 4: (void)read(argument * 300UZ); break;
      default: {
        auto rest = std::span(wire).subspan(wire_at);
        if (rest.empty()) break;
        rest[argument % rest.size()] ^= std::byte{1};
        changed = true;
        break;
      }
    }
  }
  send();
  do deliver(SIZE_MAX);
  while (read(right.unread().size()));
  NMP_ASSERT(equal(got, ByteView(written).first(got.size())));
  NMP_ASSERT(changed || (got == written && right.on_end()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  auto input = view_of(data, size).subspan(2);
  if (data[0] % 2 == 0) {
    NMP_ASSERT(strange(input, SIZE_MAX) == strange(input, 1 + data[1]));
  } else {
    between(input);
  }
  return 0;
}
