#include "rpc/h2/message_reader.hpp"

#include <zlib.h>

#include "base/codec.hpp"

namespace nmp::h2 {

namespace {
constexpr std::size_t kHeaderBytes = 5;
constexpr std::size_t kInflateStep = 16UZ << 10;
}  // namespace

struct MessageReader::Inflater {
  Inflater() { NMP_ASSERT(inflateInit2(&stream, 15 + 16) == Z_OK); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() { inflateEnd(&stream); }
  z_stream stream{};
  bool ended = false;
};

MessageReader::MessageReader(Encoding encoding, std::size_t message_bytes_max)
    : encoding_(encoding), message_bytes_max_(message_bytes_max) {}
MessageReader::~MessageReader() = default;

Result<void> MessageReader::begin_body() {
  Reader reader(header_);
  NMP_TRY(auto flag, reader.u8());
  NMP_TRY(auto size, reader.u32be());
  if (flag > 1) return fail(Errc::bad_frame);
  compressed_ = flag == 1;
  if (compressed_ && encoding_ == Encoding::identity) return fail(Errc::unexpected_compression);
  if (size > message_bytes_max_) return fail(Errc::message_too_large, std::to_string(size));
  left_ = size;
  in_body_ = true;
  header_.clear();
  if (compressed_) inflater_ = std::make_unique<Inflater>();
  return {};
}

Result<std::size_t> MessageReader::feed(ByteView bytes, std::size_t stop_at) {
  std::size_t taken = 0;
  while (!whole_) {
    auto rest = bytes.subspan(taken);
    if (!in_body_) {
      auto size = std::min(rest.size(), kHeaderBytes - header_.size());
      append(header_, rest.first(size));
      taken += size;
      if (header_.size() < kHeaderBytes) return taken;
      NMP_CHECK(begin_body());
      continue;
    }
    if (compressed_) {
      NMP_TRY(auto size, inflate_some(rest, stop_at));
      taken += size;
      if (!whole_) return taken;
      break;
    }
    auto size = std::min(rest.size(), left_);
    append(message_, rest.first(size));
    left_ -= size;
    taken += size;
    whole_ = left_ == 0;
    if (taken == bytes.size() || message_.size() >= stop_at) break;
  }
  return taken;
}

Result<std::size_t> MessageReader::inflate_some(ByteView bytes, std::size_t stop_at) {
  auto& stream = inflater_->stream;
  auto input = bytes.first(std::min(bytes.size(), left_));
  stream.next_in = const_cast<Bytef*>(u8(input));
  stream.avail_in = static_cast<uInt>(input.size());
  while (!inflater_->ended && message_.size() < stop_at) {
    // One byte more than allowed, so that a message of exactly the cap is told from a longer one.
    auto known = message_.size();
    auto room = std::min(kInflateStep, message_bytes_max_ + 1 - known);
    message_.resize(known + room);
    stream.next_out = u8(std::span(message_).subspan(known));
    stream.avail_out = static_cast<uInt>(room);
    int code = inflate(&stream, Z_NO_FLUSH);
    message_.resize(known + room - stream.avail_out);
    if (message_.size() > message_bytes_max_) return fail(Errc::message_too_large, "inflated");
    if (code == Z_STREAM_END)
      inflater_->ended = true;
    else if (code == Z_BUF_ERROR)
      break;
    else if (code != Z_OK)
      return fail(Errc::bad_compression);
    if (stream.avail_out != 0 && stream.avail_in == 0) break;
  }
  auto taken = input.size() - stream.avail_in;
  left_ -= taken;
  if (inflater_->ended) {
    if (left_ != 0) return fail(Errc::bad_compression, "bytes after the end");
    whole_ = true;
    inflater_.reset();
  } else if (left_ == 0 && message_.size() < stop_at) {
    return fail(Errc::bad_compression, "ends early");
  }
  return taken;
}

Bytes MessageReader::take() {
  NMP_ASSERT(whole_);
  whole_ = false;
  in_body_ = false;
  return std::exchange(message_, {});
}

}  // namespace nmp::h2
