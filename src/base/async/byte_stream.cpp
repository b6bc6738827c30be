#include "base/async/byte_stream.hpp"

#include <deque>

#include "base/async/event.hpp"

namespace nmp::async {

Awaitable<Result<void>> read_exactly(ByteStream& stream, std::span<std::byte> buffer) {
  while (!buffer.empty()) {
    NMP_CO_TRY(auto size, co_await stream.read_some(buffer));
    if (size == 0) co_return fail(Errc::truncated, "stream ended");
    buffer = buffer.subspan(size);
  }
  co_return Result<void>();
}

namespace {

struct Direction {
  Direction(const Executor& executor, std::size_t size_max) : changed(executor), capacity(size_max) {}
  Event changed;
  std::size_t capacity;
  std::deque<std::byte> held;
  bool finished = false;
  bool reset = false;
};

class MemoryStream final : public ByteStream {
 public:
  MemoryStream(std::shared_ptr<Direction> in, std::shared_ptr<Direction> out)
      : in_(std::move(in)), out_(std::move(out)) {}
  MemoryStream(const MemoryStream&) = delete;
  MemoryStream& operator=(const MemoryStream&) = delete;
  ~MemoryStream() override {
    if (!out_->finished || !in_->finished) reset(0);
  }

  Awaitable<Result<std::size_t>> read_some(std::span<std::byte> buffer) override {
    auto in = in_;
    while (in->held.empty() && !in->finished && !in->reset) NMP_CO_CHECK(co_await in->changed.wait());
    if (in->reset) co_return fail(Errc::closed);
    auto size = std::min(buffer.size(), in->held.size());
    std::copy_n(in->held.begin(), size, buffer.begin());
    in->held.erase(in->held.begin(), in->held.begin() + static_cast<std::ptrdiff_t>(size));
    in->changed.notify_all();
    co_return size;
  }

  Awaitable<Result<void>> write(ByteView data) override {
    auto out = out_;
    for (;;) {
      if (out->reset || out->finished) co_return fail(Errc::closed);
      auto size = std::min(data.size(), out->capacity - out->held.size());
      out->held.insert(out->held.end(), data.begin(), data.begin() + static_cast<std::ptrdiff_t>(size));
      data = data.subspan(size);
      if (size > 0) out->changed.notify_all();
      if (data.empty()) co_return Result<void>();
      NMP_CO_CHECK(co_await out->changed.wait());
    }
  }

  Awaitable<Result<void>> close_write() override {
    out_->finished = true;
    out_->changed.notify_all();
    co_return Result<void>();
  }

  void reset(std::uint64_t /*code*/) noexcept override {
    for (auto& direction : {in_, out_}) {
      direction->reset = true;
      direction->changed.notify_all();
    }
  }

 private:
  std::shared_ptr<Direction> in_;   // both ends
  std::shared_ptr<Direction> out_;  // both ends
};

}  // namespace

std::pair<ByteStreamPtr, ByteStreamPtr> memory_pipe(const Executor& executor, std::size_t capacity) {
  auto a = std::make_shared<Direction>(executor, capacity);
  auto b = std::make_shared<Direction>(executor, capacity);
  return {std::make_unique<MemoryStream>(a, b), std::make_unique<MemoryStream>(b, a)};
}

}  // namespace nmp::async
