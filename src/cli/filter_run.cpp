#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/async/main_loop.hpp"
#include "base/encoding.hpp"
#include "cli/commands.hpp"
#include "cli/json.hpp"
#include "cli/limits.hpp"
#include "cli/tree.hpp"
#include "crypto/random.hpp"
#include "sandbox/runner.hpp"

namespace nmp::cli {
namespace {

std::string reason_of(const std::error_code& code) {
  if (code.category() == sandbox::make_error_code(sandbox::Errc::trap).category())
    return std::string(sandbox::reason_of(static_cast<sandbox::Errc>(code.value())));
  return code.message();
}

int failed(const Error& error, Output& output) {
  if (error.code.category() == guardian::make_error_code(guardian::Errc::malformed).category())
    return output.failure(kRefused, error.code.message(),
                          fmt::format("a node would refuse the filter: {}\n     {}", escape_text(error.message(), 500),
                                      guardian::advice(static_cast<guardian::Errc>(error.code.value()))));
  return output.failure(exit_of(reason_of(error.code)), reason_of(error.code), escape_text(error.message(), 500));
}

void show(const sandbox::Output& piece, Bytes& evidence, std::uint64_t& sequence, Output& output) {
  switch (piece.kind) {
    case sandbox::OutputKind::event:
      output.object({{"event", "push"}, {"seq", sequence++}, {"data", json_bytes(piece.bytes)}});
      output.line(output.dim("event  ") + escape_text(text_of(piece.bytes), 2000));
      break;
    case sandbox::OutputKind::evidence:
      if (output.json()) {
        append(evidence, piece.bytes);
      } else {
        output.bytes(piece.bytes);
      }
      break;
    case sandbox::OutputKind::diagnostics: std::fwrite(piece.bytes.data(), 1, piece.bytes.size(), stderr); break;
    case sandbox::OutputKind::state: break;  // a plain run keeps none
  }
}

/// `options`, `output` and `loop` outlive the run: run_filter_run() waits for it.
async::Awaitable<int> run(const FilterRunOptions& options, Bytes wasm, Output& output, async::MainLoop& loop) {
  sandbox::RunnerOptions runner_options;
  runner_options.worker_threads = 1;
  runner_options.runs_max = 1;
  runner_options.memory_bytes_max = options.limits.memory_bytes;
  runner_options.random = &crypto::system_random();
  auto runner = sandbox::Runner::make(loop.executor(), std::move(runner_options));
  if (!runner) co_return failed(runner.error(), output);

  sandbox::RunSpec spec;
  spec.limits = options.limits;
  spec.inputs = options.inputs;
  for (const auto& [name, folder] : options.data) {
    auto snapshot = sandbox::Snapshot::take(name, folder);
    if (!snapshot)
      co_return output.failure(kUsage, "data",
                               fmt::format("--data {}: {}", folder.string(), snapshot.error().message()));
    spec.datasets.push_back(*std::move(snapshot));
  }
  output.progress("compiling");
  auto module = co_await loop.interruptible((*runner)->compile(std::move(wasm)));
  if (!module) co_return failed(module.error(), output);
  spec.module = *std::move(module);
  auto started = (*runner)->start(std::move(spec));
  if (!started) co_return failed(started.error(), output);

  output.progress("running");
  Bytes evidence;
  std::uint64_t sequence = 0;
  while (true) {
    auto next = co_await loop.interruptible((*started)->next());
    if (!next) co_return failed(next.error(), output);
    if (!*next) break;
    show(**next, evidence, sequence, output);
  }
  const auto& result = (*started)->result();
  const auto used = json_of(result.used);
  if (result.error) {
    output.object({{"event", "used"}, {"limits", json_of(options.limits)}, {"used", used}});
    co_return failed(*result.error, output);
  }
  output.object(
      {{"event", "result"}, {"evidence", json_bytes(evidence)}, {"limits", json_of(options.limits)}, {"used", used}});
  if (output.terminal())
    output.line(output.dim(fmt::format("used {} of memory, {} fuel, {:.3f} s", human_bytes(result.used.memory_bytes),
                                       result.used.fuel, static_cast<double>(result.used.wall_time_ms) / 1000)));
  co_return kDone;
}

}  // namespace

int run_filter_run(const FilterRunOptions& options, Output& output) {
  Bytes wasm;
  try {
    wasm = read_file("FILTER", options.filter, kFilterBytesMax);
  } catch (const CLI::ValidationError& error) {
    return output.failure(kUsage, "file", error.what());
  }
  async::MainLoop loop;
  return loop.run(run(options, std::move(wasm), output, loop));
}

}  // namespace nmp::cli
