#include "libp2p/noise/frame_reader.hpp"

#include "base/codec.hpp"

namespace nmp::libp2p::noise {

Result<std::optional<ByteView>> FrameReader::feed(ByteView& input, const Sizes& sizes) {
  if (std::exchange(body_spent_, false)) body_.clear();
  auto eat = [&input](std::size_t size) {
    auto piece = input.first(std::min(size, input.size()));
    input = input.subspan(piece.size());
    return piece;
  };
  append(length_, eat(2 - length_.size()));
  if (length_.size() < 2) return std::nullopt;
  NMP_TRY(auto size, Reader(length_).u16be());
  if (size < sizes.least || size > sizes.most) return fail(sizes.error);
  auto piece = eat(size - body_.size());
  ByteView whole = piece;
  if (piece.size() < size) {
    append(body_, piece);
    if (body_.size() < size) return std::nullopt;
    whole = body_;
    body_spent_ = true;
  }
  length_.clear();
  return std::optional(whole);
}

}  // namespace nmp::libp2p::noise
