#pragma once

#include "base/async/main_loop.hpp"
#include "cli/mesh_support.hpp"
#include "cli/output.hpp"
#include "client/agent.hpp"

/// How a command becomes an agent, runs and ends: with its exit code, by its deadline, or by Ctrl-C.
namespace nmp::cli {

/// A command's work: its exit code; what it could not do it has said on `output`. Errors: what cut it short.
template <class Options>
using AgentCommand = async::Awaitable<Result<int>> (*)(client::Agent&, const Options&, Output&, Instant);

template <class Options>
async::Awaitable<int> agent_main(async::MainLoop& loop,
                                 client::AgentOptions agent_options,
                                 const Options& options,
                                 Output& output,
                                 AgentCommand<Options> command) {
  auto agent = client::Agent::make(loop.executor(), std::move(agent_options));
  if (!agent) co_return output.failure(kUsage, "agent_failed", agent.error().message());
  auto deadline = async::system_clock().now() + options.mesh.timeout;
  auto code = co_await loop.interruptible(command(**agent, options, output, deadline));
  co_await (*agent)->close();
  if (loop.interrupted())
    co_return output.failure(kInterrupted, "cancelled", "stopped; a run in progress is cancelled at its node");
  if (!code) co_return output.failure(kNobody, "deadline_exceeded", code.error().message());
  co_return *code;
}

template <class Options>
int with_agent(const Options& options,
               std::optional<std::filesystem::path> key_log,
               Output& output,
               AgentCommand<Options> command) {
  auto agent_options = make_agent_options(options.common, options.mesh, std::move(key_log));
  if (!agent_options) return output.failure(kUsage, "usage", agent_options.error().message());
  async::MainLoop loop;
  return loop.run(agent_main<Options>(loop, std::move(*agent_options), options, output, command));
}

}  // namespace nmp::cli
