#include "libp2p/host/perf_service.hpp"

#include "base/async/with_deadline.hpp"

namespace nmp::libp2p {

namespace {

/// Read and written at once.
constexpr std::size_t kPieceBytes = 256UZ * 1024;

Instant now() { return async::system_clock().now(); }

async::Awaitable<Result<void>> send_bytes(Stream& stream, std::uint64_t count) {
  const Bytes piece(static_cast<std::size_t>(std::min<std::uint64_t>(count, kPieceBytes)));
  while (count > 0) {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(count, piece.size()));
    NMP_CO_CHECK(co_await stream.write(ByteView(piece).first(size)));
    count -= size;
  }
  co_return co_await stream.close_write();
}

async::Awaitable<Result<void>> answer(Stream& stream, perf::Limits limits) {
  perf::Responder responder(limits);
  Bytes piece(kPieceBytes);
  for (;;) {
    NMP_CO_TRY(const auto size, co_await stream.read_some(piece));
    if (size == 0) break;
    NMP_CO_CHECK(responder.feed(ByteView(piece).first(size)));
  }
  NMP_CO_TRY(const auto wanted, responder.end());
  co_return co_await send_bytes(stream, wanted);
}

/// `served`: streams now, this one not counted.
async::Awaitable<void> serve(StreamPtr stream, std::shared_ptr<std::size_t> served, PerfServiceLimits limits) {
  if (*served >= limits.streams_max) {
    stream->reset(stream_code::kRateLimited);
    co_return;
  }
  ++*served;
  auto answering = answer(*stream, limits.stream);
  auto answered = co_await async::with_deadline(now() + limits.time_max, std::move(answering));
  --*served;
  if (answered) co_return;
  const bool too_much = answered.error().code == Errc::too_large || answered.error().code == Errc::deadline_exceeded;
  stream->reset(too_much ? stream_code::kResourceLimit : stream_code::kProtocolViolation);
}

async::Awaitable<Result<PerfReport>> exchange(Stream& stream, std::uint64_t upload, std::uint64_t download) {
  const auto begun = now();
  const auto request = perf::encode_request(download);
  NMP_CO_CHECK(co_await stream.write(request));
  NMP_CO_CHECK(co_await send_bytes(stream, upload));
  perf::Download counter(download);
  Bytes piece(kPieceBytes);
  std::optional<Instant> answered;
  for (;;) {
    NMP_CO_TRY(const auto size, co_await stream.read_some(piece));
    if (!answered) answered = now();
    if (size == 0) break;
    NMP_CO_CHECK(counter.feed(size));
  }
  NMP_CO_CHECK(counter.end());
  PerfReport report;
  report.upload = *answered - begun;
  report.download = now() - *answered;
  co_return report;
}

}  // namespace

void serve_perf(Host& host, PerfServiceLimits limits) {
  auto served = std::make_shared<std::size_t>(0);  // the handler and its streams
  host.handle(std::string(perf::kProtocol),
              [served, limits](StreamPtr stream) { return serve(std::move(stream), served, limits); });
}

async::Awaitable<Result<PerfReport>> measure_perf(
    Host& host, PeerId peer, std::uint64_t upload_bytes, std::uint64_t download_bytes, Instant deadline) {
  std::vector<std::string> protocols{std::string(perf::kProtocol)};
  NMP_CO_TRY(auto stream, co_await host.open_stream(std::move(peer), std::move(protocols), deadline));
  auto exchanging = exchange(*stream, upload_bytes, download_bytes);
  auto report = co_await async::with_deadline(deadline, std::move(exchanging));
  if (!report) stream->reset(stream_code::kNone);
  co_return report;
}

}  // namespace nmp::libp2p
