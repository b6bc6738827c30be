#include <algorithm>
#include <deque>
#include <map>

#include "base/async/event.hpp"
#include "base/async/task_group.hpp"
#include "sandbox/engine.hpp"
#include "sandbox/frame_writer.hpp"

namespace nmp::sandbox {

struct EngineRun::State {
  explicit State(const async::Executor& executor) : changed(executor) {}
  SessionId session{};
  std::uint32_t run = 0;
  std::deque<RunEvent> events;
  std::size_t held = 0;  ///< Bytes of boxes in `events`: at most kHeldBytesMax.
  async::Event changed;
  std::uint64_t to_credit = 0;
  bool over = false;    ///< Refused or Ended has arrived.
  bool closed = false;  ///< The engine is gone.
};

class EngineClient::Impl {
 public:
  Impl(async::Executor executor_in, async::ByteStreamPtr stream_in)
      : executor(std::move(executor_in)), stream(std::move(stream_in)), writer(executor, *stream), tasks(executor) {}

  struct Opening {
    explicit Opening(const async::Executor& executor) : changed(executor) {}
    async::Event changed;
    std::optional<Result<KeysFrame>> answer;
  };

  async::Awaitable<void> read() {
    for (;;) {
      auto body = co_await read_frame(*stream);
      if (!body || !*body) break;
      auto frame = decode_engine_frame(**body);
      if (!frame) break;
      std::visit([this](auto& f) { take(std::move(f)); }, *frame);
      if (broken) break;
    }
    closed = true;
    stream->reset(0);  // no writer waits on for an engine that nobody hears
    for (auto& [id, opening] : openings) {
      opening->answer = Result<KeysFrame>(fail(nmp::Errc::closed, "engine"));
      opening->changed.notify_all();
    }
    for (auto& [key, run] : runs) {
      run->closed = true;
      run->changed.notify_all();
    }
    runs.clear();
  }

  void take(KeysFrame frame) {
    if (const auto it = openings.find(frame.session); it != openings.end()) {
      it->second->answer = Result<KeysFrame>(std::move(frame));
      it->second->changed.notify_all();
    }
  }
  void take(RefusedFrame frame) {
    if (const auto it = openings.find(frame.session); it != openings.end()) {
      auto code = Errc::protocol;
      for (int i = 1; i <= static_cast<int>(Errc::envelope); ++i)
        if (reason_of(static_cast<Errc>(i)) == frame.reason) code = static_cast<Errc>(i);
      it->second->answer = Result<KeysFrame>(fail(code, frame.message));
      it->second->changed.notify_all();
      return;
    }
    event(std::move(frame), /*over=*/true);
  }
  void take(OpenedFrame frame) { event(frame, /*over=*/false); }
  void take(BoxFrame frame) {
    if (const auto it = runs.find({frame.session, frame.run}); it != runs.end()) {
      it->second->held += frame.sealed.size();
      if (it->second->held > kHeldBytesMax) {
        broken = true;
        return;
      }
    }
    event(std::move(frame), /*over=*/false);
  }
  void take(EndedFrame frame) { event(std::move(frame), /*over=*/true); }
  void take(WriteFrame frame) {
    if (storage != nullptr) tasks.spawn(store(std::move(frame)));
  }
  void take(FetchFrame frame) {
    if (storage != nullptr) tasks.spawn(fetch(frame));
  }

  async::Awaitable<void> store(WriteFrame frame) {
    StoredFrame answer;
    answer.number = frame.number;
    auto written = co_await storage->write(std::move(frame.writes));
    answer.stored = written.has_value();
    writer.push(encode(HostFrame(answer)));
  }
  async::Awaitable<void> fetch(FetchFrame frame) {
    FetchedFrame answer;
    answer.number = frame.number;
    if (frame.what == FetchFrame::What::module) {
      auto module = co_await storage->module(frame.id);
      if (module) {
        StoredEvent item;
        item.record = *std::move(module);
        answer.events.emplace();
        answer.events->push_back(std::move(item));
      }
    } else {
      auto events = co_await storage->events(frame.id, frame.from, std::min(frame.count_max, kWatchFetchEvents),
                                             std::min(frame.bytes_max, kWatchFetchBytes));
      if (events) answer.events = *std::move(events);
    }
    writer.push(encode(HostFrame(std::move(answer))));
  }

  template <class Frame>
  void event(Frame frame, bool over) {
    const auto it = runs.find({frame.session, frame.run});
    if (it == runs.end()) return;
    auto run = it->second;
    run->events.emplace_back(std::move(frame));
    run->over = over;
    if (over) runs.erase(it);
    run->changed.notify_all();
  }

  async::Executor executor;
  async::ByteStreamPtr stream;
  FrameWriter writer;
  async::TaskGroup tasks;
  std::map<SessionId, std::shared_ptr<Opening>> openings;  // the reader and who waits
  std::map<std::pair<SessionId, std::uint32_t>, std::shared_ptr<EngineRun::State>> runs;
  WatchStorage* storage = nullptr;
  bool closed = false;
  bool broken = false;  ///< The engine broke the protocol.
};

EngineRun::EngineRun(EngineClient& client, std::shared_ptr<State> state) : client_(client), state_(std::move(state)) {}

EngineRun::~EngineRun() {
  if (state_->over || state_->closed) return;
  cancel();
  client_.impl_->runs.erase({state_->session, state_->run});
}

void EngineRun::cancel() {
  CancelFrame frame;
  frame.session = state_->session;
  frame.run = state_->run;
  client_.impl_->writer.push(encode(HostFrame(frame)));
}

async::Awaitable<Result<RunEvent>> EngineRun::next() {
  auto state = state_;
  if (state->to_credit > 0) {
    CreditFrame frame;
    frame.session = state->session;
    frame.run = state->run;
    frame.bytes = std::exchange(state->to_credit, 0);
    client_.impl_->writer.push(encode(HostFrame(frame)));
  }
  while (state->events.empty()) {
    if (state->over || state->closed) co_return fail(nmp::Errc::closed);
    NMP_CO_CHECK(co_await state->changed.wait());
  }
  RunEvent event = std::move(state->events.front());
  state->events.pop_front();
  if (const auto* box = std::get_if<BoxFrame>(&event)) {
    state->to_credit = box->sealed.size();
    state->held -= box->sealed.size();
  }
  co_return event;
}

EngineClient::EngineClient(async::Executor executor, async::ByteStreamPtr stream)
    : impl_(std::make_unique<Impl>(std::move(executor), std::move(stream))) {
  impl_->tasks.spawn(impl_->writer.run());
  impl_->tasks.spawn(impl_->read());
}

EngineClient::~EngineClient() = default;

async::Awaitable<Result<KeysFrame>> EngineClient::open(SessionId session, Bytes intent) {
  NMP_CO_CHECK(co_await impl_->writer.room(kQueuedBytesMax));
  if (impl_->closed) co_return fail(nmp::Errc::closed, "engine");
  if (impl_->openings.contains(session)) co_return fail(Errc::protocol, "session repeated");
  auto opening = std::make_shared<Impl::Opening>(impl_->executor);
  impl_->openings.emplace(session, opening);
  OpenFrame frame;
  frame.session = session;
  frame.intent = std::move(intent);
  impl_->writer.push(encode(HostFrame(std::move(frame))));
  Result<void> waited;
  while (!opening->answer && waited) waited = co_await opening->changed.wait();
  impl_->openings.erase(session);
  if (!opening->answer) co_return fail(waited.error());
  co_return std::move(*opening->answer);
}

async::Awaitable<Result<void>> EngineClient::bind(BindFrame frame) {
  NMP_CO_CHECK(co_await impl_->writer.room(kQueuedBytesMax));
  if (impl_->closed) co_return fail(nmp::Errc::closed, "engine");
  impl_->writer.push(encode(HostFrame(std::move(frame))));
  co_return Result<void>();
}

async::Awaitable<Result<EngineRunPtr>> EngineClient::job(JobFrame frame) {
  if (impl_->closed) co_return fail(nmp::Errc::closed, "engine");
  const std::size_t size =
      frame.inputs.size() + (frame.module ? frame.module->size() : 0) + frame.pqc_ciphertext.size();
  if (size > kFrameBytesMax - 1024) co_return fail(nmp::Errc::too_large, "job");
  NMP_CO_CHECK(co_await impl_->writer.room(kQueuedBytesMax));
  if (impl_->closed) co_return fail(nmp::Errc::closed, "engine");
  if (impl_->runs.contains({frame.session, frame.run})) co_return fail(Errc::run_reused);
  auto state = std::make_shared<EngineRun::State>(impl_->executor);
  state->session = frame.session;
  state->run = frame.run;
  impl_->runs.emplace(std::pair(frame.session, frame.run), state);
  impl_->writer.push(encode(HostFrame(std::move(frame))));
  co_return std::make_unique<EngineRun>(*this, std::move(state));
}

void EngineClient::keep_watchdogs(WatchStorage& storage, std::vector<StoredWatch> stored) {
  NMP_ASSERT(impl_->storage == nullptr);
  impl_->storage = &storage;
  for (auto& watch : stored) impl_->writer.push(encode(HostFrame(RestoreFrame(std::move(watch)))));
  impl_->writer.push(encode(HostFrame(RestoredFrame())));
}

void EngineClient::drop(SessionId session) {
  DropFrame frame;
  frame.session = session;
  impl_->writer.push(encode(HostFrame(frame)));
}

async::Awaitable<void> EngineClient::close() {
  impl_->stream->reset(0);
  co_await impl_->tasks.close();
}

}  // namespace nmp::sandbox
