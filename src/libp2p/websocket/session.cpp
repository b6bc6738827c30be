#include "libp2p/websocket/session.hpp"

#include <algorithm>

#include "base/encoding.hpp"
#include "libp2p/websocket/limits.hpp"

namespace nmp::libp2p::websocket {

namespace {
/// Section 7.4.1, in a Close frame.
constexpr std::array kNormalClosure = {std::byte{0x03}, std::byte{0xe8}};  // 1000
constexpr std::array kProtocolError = {std::byte{0x03}, std::byte{0xea}};  // 1002
}  // namespace

Session Session::dial(std::string_view host, Random& random) {
  Session session(Role::client, &random);
  session.key_ = base64_encode(random.bytes<16>());
  append(session.output_, bytes_of(upgrade_request(host, session.key_)));
  return session;
}

Session Session::accept() { return {Role::server, nullptr}; }

std::unexpected<Error> Session::give_up(Error error) {
  failure_ = error.code;
  if (established_) {
    if (!finished_) put_frame(Opcode::close, kProtocolError);
  } else if (role_ == Role::server) {
    append(output_, bytes_of(refusal()));
  }
  return fail(std::move(error));
}

Result<void> Session::on_head(std::string_view head) {
  if (role_ == Role::client) {
    NMP_CHECK(read_answer(head, key_));
  } else {
    NMP_TRY(const auto key, read_request(head));
    append(output_, bytes_of(upgrade_answer(key)));
  }
  established_ = true;
  return {};
}

Result<void> Session::on_header(const FrameHeader& header) {
  // Section 5.1: a client masks, a server does not.
  if (header.mask.has_value() != (role_ == Role::server)) return fail(Errc::bad_frame, "mask");
  if (header.opcode == Opcode::text) return fail(Errc::bad_frame, "text");
  if (!header.is_control()) {
    if ((header.opcode == Opcode::continuation) != in_message_) return fail(Errc::bad_frame, "continuation");
    in_message_ = !header.final;
  }
  return {};
}

void Session::on_payload(ByteView piece) {
  NMP_ASSERT(frame_.has_value());
  auto& to = frame_->is_control() ? control_ : inbox_;
  if (!frame_->is_control() && inbox_at_ >= kUnreadBytesMax) {
    inbox_.erase(inbox_.begin(), inbox_.begin() + static_cast<std::ptrdiff_t>(inbox_at_));
    inbox_at_ = 0;
  }
  append(to, piece);
  if (frame_->mask) apply_mask(*frame_->mask, frame_at_, std::span(to).last(piece.size()));
  frame_at_ += piece.size();
}

Result<void> Session::on_control() {
  NMP_ASSERT(frame_.has_value());
  const auto payload = std::exchange(control_, {});
  if (frame_->opcode == Opcode::ping && !finished_ && output_.size() < kUnsentBytesMax)
    put_frame(Opcode::pong, payload);
  if (frame_->opcode != Opcode::close) return {};
  // A code, if anything is said at all (section 5.5.1).
  if (payload.size() == 1) return fail(Errc::bad_frame, "close");
  ended_ = true;
  return {};
}

Result<std::size_t> Session::on_bytes(ByteView input) {
  if (failure_) return fail(failure_);
  auto rest = input;
  while (!rest.empty() && !established_) {
    auto head = head_.feed(rest);
    if (!head) return give_up(std::move(head).error());
    if (!*head) break;
    if (auto done = on_head(**head); !done) return give_up(std::move(done).error());
  }
  while (established_ && !ended_ && (frame_ || !rest.empty())) {
    if (!frame_) {
      auto header = headers_.feed(rest);
      if (!header) return give_up(std::move(header).error());
      if (!*header) break;
      if (auto good = on_header(**header); !good) return give_up(std::move(good).error());
      frame_ = **header;
      frame_at_ = 0;
    }
    auto most = frame_->size - frame_at_;
    if (!frame_->is_control()) {
      const auto room = kUnreadBytesMax - std::min(kUnreadBytesMax, unread().size());
      if (room == 0 && most > 0) break;
      most = std::min<std::uint64_t>(most, room);
    }
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(most, rest.size()));
    on_payload(rest.first(size));
    rest = rest.subspan(size);
    if (frame_at_ < frame_->size) {
      if (rest.empty()) break;
      continue;
    }
    if (frame_->is_control())
      if (auto done = on_control(); !done) return give_up(std::move(done).error());
    frame_.reset();
  }
  if (ended_) rest = {};
  return input.size() - rest.size();
}

Result<void> Session::on_end() const {
  if (failure_) return fail(failure_);
  if (!ended_) return fail(Errc::truncated, established_ ? "no goodbye" : "handshake");
  return {};
}

void Session::put_frame(Opcode opcode, ByteView payload) {
  FrameHeader header{.final = true, .opcode = opcode, .size = payload.size(), .mask = {}};
  if (random_ != nullptr) header.mask = random_->bytes<4>();
  append(output_, header.encode());
  append(output_, payload);
  if (header.mask) apply_mask(*header.mask, 0, std::span(output_).last(payload.size()));
}

Result<std::size_t> Session::write(ByteView payload) {
  if (failure_) return fail(failure_);
  if (!established_ || finished_) return fail(Errc::not_established);
  std::size_t taken = 0;
  while (taken < payload.size() && output_.size() < kUnsentBytesMax) {
    const auto size = std::min(payload.size() - taken, kFrameBytesMax);
    put_frame(Opcode::binary, payload.subspan(taken, size));
    taken += size;
  }
  return taken;
}

void Session::finish() {
  if (finished_ || !established_ || failure_) return;
  put_frame(Opcode::close, kNormalClosure);
  finished_ = true;
}

void Session::consume(std::size_t size) {
  NMP_ASSERT(size <= unread().size());
  inbox_at_ += size;
  if (inbox_at_ < inbox_.size()) return;
  inbox_.clear();
  inbox_at_ = 0;
}

std::size_t Session::read(std::span<std::byte> out) {
  const auto size = std::min(out.size(), unread().size());
  std::ranges::copy(unread().first(size), out.begin());
  consume(size);
  return size;
}

}  // namespace nmp::libp2p::websocket
