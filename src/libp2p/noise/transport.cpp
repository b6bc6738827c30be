#include "libp2p/noise/transport.hpp"

#include <cstring>

#include "base/codec.hpp"
#include "libp2p/noise/limits.hpp"

namespace nmp::libp2p::noise {
namespace {

constexpr FrameReader::Sizes kSizes = {.least = kTagSize, .most = kFrameBytesMax, .error = Errc::forged};

}  // namespace

std::unexpected<Error> Transport::give_up(Error error) {
  failure_ = error.code;
  output_.clear();
  frames_ = {};
  return fail(std::move(error));
}

Result<std::size_t> Transport::on_bytes(ByteView input) {
  if (failure_) return fail(failure_);
  auto rest = input;
  while (!rest.empty() && unread().size() < kUnreadBytesMax) {
    auto frame = frames_.feed(rest, kSizes);
    if (!frame) return give_up(std::move(frame).error());
    if (!*frame) break;
    auto at = inbox_.size();
    inbox_.resize(at + (*frame)->size() - kTagSize);
    auto opened = receive_.open({}, **frame, std::span(inbox_).subspan(at));
    if (!opened) {
      inbox_.resize(at);
      return give_up(std::move(opened).error());
    }
  }
  return input.size() - rest.size();
}

void Transport::consume(std::size_t size) {
  NMP_ASSERT(size <= unread().size());
  inbox_at_ += size;
  // The rest moves to the front once it is no more than what is dropped: a byte costs at most one move in all.
  if (inbox_at_ >= unread().size()) {
    inbox_.erase(inbox_.begin(), inbox_.begin() + static_cast<std::ptrdiff_t>(inbox_at_));
    inbox_at_ = 0;
  }
}

std::size_t Transport::read(std::span<std::byte> out) {
  auto piece = unread().first(std::min(out.size(), unread().size()));
  // libstdc++ 12 copies between spans byte by byte: a quarter of a receiver's time.
  if (!piece.empty()) std::memcpy(out.data(), piece.data(), piece.size());
  consume(piece.size());
  return piece.size();
}

Result<std::size_t> Transport::write(ByteView plaintext) {
  if (failure_) return fail(failure_);
  auto rest = plaintext;
  while (!rest.empty() && output_.size() < kUnsentBytesMax) {
    auto piece = rest.first(std::min(rest.size(), kPlaintextBytesMax));
    auto size = piece.size() + kTagSize;
    append(output_, Writer().u16be(static_cast<std::uint16_t>(size)).view());
    auto at = output_.size();
    output_.resize(at + size);
    auto sealed = send_.seal({}, piece, std::span(output_).subspan(at));
    if (!sealed) return give_up(std::move(sealed).error());
    rest = rest.subspan(piece.size());
  }
  return plaintext.size() - rest.size();
}

Result<void> Transport::on_end() const {
  if (failure_) return fail(failure_);
  if (!frames_.idle()) return fail(Errc::truncated);
  return {};
}

}  // namespace nmp::libp2p::noise
