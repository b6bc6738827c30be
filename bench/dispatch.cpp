// An agent, or several, at a real node: what negotiation and runs take, end to end.
#include <fmt/format.h>

#include "base/async/task_group.hpp"
#include "bench.hpp"
#include "crypto/random.hpp"
#include "dispatcher.hpp"
#include "modules.hpp"

namespace nmp::bench {

namespace {

/// Many runs of one session, after `warmup` others.
async::Awaitable<Result<json>> warm(
    Dispatcher& agent, const client::RunRequest& request, std::size_t count, std::size_t warmup, pid_t pid) {
  // The first run brings the module; the session after it runs by hash.
  NMP_CO_CHECK(co_await agent.negotiate(request));
  NMP_CO_CHECK(co_await agent.execute());
  NMP_CO_CHECK(co_await agent.negotiate(request));
  Meter meter(pid);
  for (std::size_t i = 0; i < warmup + count; ++i) {
    if (i == warmup) meter.start();
    NMP_CO_CHECK(co_await agent.execute());
    meter.lap();
  }
  co_return meter.result();
}

/// One run a session; the negotiations are timed.
async::Awaitable<Result<json>> negotiate(Dispatcher& agent, const client::RunRequest& request, std::size_t count) {
  Meter meter(0);
  for (std::size_t i = 0; i < count + 1; ++i) {
    NMP_CO_CHECK(co_await agent.negotiate(request));
    NMP_CO_TRY(const auto outcome, co_await agent.execute());
    if (i > 0) meter.add(outcome.seconds.negotiate * 1e6);
  }
  co_return meter.result();
}

/// One run a session, each of a module that the node has not seen.
async::Awaitable<Result<json>> cold(Dispatcher& agent, client::RunRequest request, std::size_t count) {
  Meter meter(0);
  const auto module = request.module;
  for (std::size_t i = 0; i < count; ++i) {
    request.module = with_new_hash(module, crypto::system_random().bytes<32>());
    NMP_CO_CHECK(co_await agent.negotiate(request));
    NMP_CO_TRY(const auto outcome, co_await agent.execute());
    meter.add(outcome.seconds.run * 1e6);
  }
  auto result = meter.result();
  result["module_bytes"] = module.size();
  co_return result;
}

struct Crowd {
  Meter meter{0};
  std::size_t left = 0;
  std::optional<Error> error;
};

async::Awaitable<void> one_of_many(Dispatcher& agent, Crowd& crowd) {
  while (crowd.left > 0 && !crowd.error) {
    --crowd.left;
    const auto started = in(Duration::zero());
    auto outcome = co_await agent.execute();
    if (!outcome) crowd.error = outcome.error();
    crowd.meter.add(std::chrono::duration<double, std::micro>(in(Duration::zero())-started).count());
  }
}

/// Each agent has its own connection and session, and one run at a time.
async::Awaitable<Result<json>> parallel(std::vector<DispatcherPtr>& agents,
                                        const client::RunRequest& request,
                                        std::size_t count,
                                        pid_t pid) {
  for (const auto& agent : agents) {
    NMP_CO_CHECK(co_await agent->negotiate(request));
    NMP_CO_CHECK(co_await agent->execute());
    NMP_CO_CHECK(co_await agent->negotiate(request));
  }
  Crowd crowd{.meter = Meter(pid)};
  crowd.left = count;
  crowd.meter.start();
  async::TaskGroup group(co_await boost::asio::this_coro::executor);
  for (const auto& agent : agents) group.spawn(one_of_many(*agent, crowd));
  while (group.size() > 0) NMP_CO_CHECK(co_await async::sleep_until(in(std::chrono::milliseconds(1))));
  auto result = crowd.meter.result();
  co_await group.close();
  if (crowd.error) co_return fail(*crowd.error);
  co_return result;
}

}  // namespace

/// --node ADDR/p2p/ID [--tcp HOST:PORT] --do warm|negotiate|cold|parallel --capability NAME [--module FILE]
/// [--args TEXT] [--warmup N] [--agents N] [--state FOLDER]
Command dispatch(async::MainLoop& loop, Options options) {
  NMP_CO_TRY(const auto node, parse_peer(options.text("node")));
  NMP_CO_TRY(const auto count, options.number("count", 200));
  NMP_CO_TRY(const auto warmup, options.number("warmup", count / 10));
  client::RunRequest request;
  request.capability = options.text("capability");
  request.module = empty_filter();
  if (options.has("module")) {
    NMP_CO_TRY(request.module, read_file(options.text("module")));
  }
  if (options.has("args")) request.inputs["args"] = to_bytes(options.text("args"));
  const auto what = options.text("do");
  NMP_CO_TRY(const auto agents_wanted, options.number("agents", 1));
  std::vector<DispatcherPtr> agents;
  for (std::size_t i = 0; i < agents_wanted; ++i) {
    if (options.has("tcp")) {
      NMP_CO_TRY(const auto address, parse_endpoint(options.text("tcp")));
      agents.push_back(tcp_dispatcher(loop.executor(), node.id, address));
    } else {
      NMP_CO_TRY(auto agent, quic_dispatcher(loop.executor(), node, options.text("state")));
      agents.push_back(std::move(agent));
    }
  }
  Result<json> result = fail(Errc::unsupported, "--do " + what);
  if (what == "warm") result = co_await warm(*agents.front(), request, count, warmup, options.peer_pid());
  if (what == "negotiate") result = co_await negotiate(*agents.front(), request, count);
  if (what == "cold") result = co_await cold(*agents.front(), request, count);
  if (what == "parallel") result = co_await parallel(agents, request, count, options.peer_pid());
  for (const auto& agent : agents) co_await agent->close();
  co_return result;
}

}  // namespace nmp::bench
