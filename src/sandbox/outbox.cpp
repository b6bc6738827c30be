#include "sandbox/outbox.hpp"

namespace nmp::sandbox {

std::size_t Outbox::room_locked() const {
  if (items_.size() >= kOutboxItemsMax || bytes_ >= kOutboxBytesMax) return 0;
  return kOutboxBytesMax - bytes_;
}

bool Outbox::put(OutputKind kind, ByteView bytes) {
  {
    std::lock_guard lock(mutex_);
    if (finished_) return true;  // the run has ended: nobody reads it
    if (bytes.size() > room_locked()) {
      wants_room_ = true;
      return false;
    }
    bytes_ += bytes.size();
    const bool joins = (kind == OutputKind::evidence || kind == OutputKind::diagnostics) && !items_.empty() &&
                       items_.back().kind == kind && items_.back().bytes.size() + bytes.size() <= kPieceBytesMax;
    if (joins) {
      append(items_.back().bytes, bytes);
    } else {
      items_.push_back({kind, to_bytes(bytes)});
    }
  }
  on_output_();
  return true;
}

std::size_t Outbox::room() {
  std::lock_guard lock(mutex_);
  const auto room = room_locked();
  if (room == 0) wants_room_ = true;
  return room;
}

void Outbox::finish() {
  {
    std::lock_guard lock(mutex_);
    finished_ = true;
  }
  on_output_();
}

std::optional<Output> Outbox::take() {
  bool wake = false;
  std::optional<Output> out;
  {
    std::lock_guard lock(mutex_);
    if (items_.empty()) return std::nullopt;
    out = std::move(items_.front());
    items_.pop_front();
    bytes_ -= out->bytes.size();
    // An event of the largest size fits again; waking for less would turn the run over for nothing.
    wake = wants_room_ && bytes_ <= kOutboxBytesMax - kEventBytesMax && items_.size() < kOutboxItemsMax / 2;
    if (wake) wants_room_ = false;
  }
  if (wake) on_room_();
  return out;
}

bool Outbox::ended() const {
  std::lock_guard lock(mutex_);
  return finished_ && items_.empty();
}

}  // namespace nmp::sandbox
