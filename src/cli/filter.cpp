// Arguments and help of `nmp filter`; `check` and `inspect` are here too.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/encoding.hpp"
#include "cli/commands.hpp"
#include "cli/limits.hpp"
#include "cli/tree.hpp"
#include "core/capability.hpp"
#include "crypto/hash.hpp"
#include "sandbox/guardian/guardian.hpp"
#include "server/config.hpp"

namespace nmp::cli {
namespace {

void add_new(CLI::App& filter, Pending& pending) {
  auto options = std::make_shared<FilterNewOptions>();  // the option declarations and the callback
  auto& command = *filter.add_subcommand("new", "Make a folder with a C++ filter that builds and runs.");
  command.add_option("FOLDER", options->folder, "made; must not be there")->required();
  add_common(command, options->common);
  examples(command, "  nmp filter new errors\n  nmp filter build errors && nmp filter run errors.wasm --data /var/log");
  command.callback([options, &pending] {
    finish(options->common);
    pending.command = *options;
  });
}

void add_build(CLI::App& filter, Pending& pending) {
  struct Flags {
    FilterBuildOptions options;
    std::string output;
  };
  auto flags = std::make_shared<Flags>();  // the option declarations and the callback
  auto& command = *filter.add_subcommand("build", "Compile C, C++, Go or Rust to a filter, and check it.");
  command.add_option("SOURCE", flags->options.source, "a source file, or a folder of one language")->required();
  command.add_option("-o,--output", flags->output, "where to put it (NAME.wasm here)")->type_name("FILE");
  add_common(command, flags->options.common);
  examples(command,
           "  nmp filter build errors\n  nmp filter build scan.cpp -o scan.wasm\n  nmp filter build wordcount.go");
  command.callback([flags, &pending] {
    finish(flags->options.common);
    if (!flags->output.empty()) flags->options.output = flags->output;
    pending.command = flags->options;
  });
}

void add_check(CLI::App& filter, Pending& pending, bool inspect) {
  auto options = std::make_shared<FilterCheckOptions>();  // the option declarations and the callback
  options->inspect = inspect;
  auto& command =
      *filter.add_subcommand(inspect ? "inspect" : "check", inspect ? "Show what a filter imports, exports and holds."
                                                                    : "Ask the guardian whether a node would take it.");
  command.add_option("FILTER", options->filter, "a .wasm file")->required();
  add_common(command, options->common);
  examples(command, inspect ? "  nmp filter inspect scan.wasm --json" : "  nmp filter check scan.wasm");
  command.callback([options, &pending] {
    finish(options->common);
    pending.command = *options;
  });
}

void add_local_run(CLI::App& filter, Pending& pending) {
  struct Flags {
    FilterRunOptions options;
    std::vector<std::string> data, inputs;
    LimitFlags limits;
  };
  auto flags = std::make_shared<Flags>();  // the option declarations and the callback
  auto& command = *filter.add_subcommand("run", "Run a filter here, in the sandbox that nodes use; no network.");
  auto all = CLI::MultiOptionPolicy::TakeAll;
  command.add_option("FILTER", flags->options.filter, "a .wasm file")->required();
  command
      .add_option("--data", flags->data,
                  "folder to give it: DIR as /data/data, or NAME=DIR as /data/NAME; may be repeated")
      ->type_name("[NAME=]DIR")
      ->expected(1)
      ->multi_option_policy(all);
  command.add_option("--input", flags->inputs, "NAME=VALUE or NAME=@FILE; `args` and `stdin` reach the filter as such")
      ->type_name("NAME=VALUE")
      ->expected(1)
      ->multi_option_policy(all);
  flags->limits.add(command);
  add_common(command, flags->options.common);
  examples(command,
           "  nmp filter run log_scan.wasm --data logs=/var/log --input args=$'--level\\nERROR'\n"
           "  nmp filter run scan.wasm --data ./samples --memory 8MiB --wall-time 1s --json");
  command.callback([flags, &pending] {
    auto& options = flags->options;
    finish(options.common);
    for (const auto& text : flags->data) {
      const auto equals = text.find('=');
      const bool named = equals != std::string::npos && core::is_name(text.substr(0, equals));
      auto name = named ? text.substr(0, equals) : std::string("data");
      for (const auto& [other, folder] : options.data) {
        if (other == name) throw CLI::ValidationError("--data", "two folders are named " + name + ": say NAME=DIR");
      }
      options.data.emplace_back(std::move(name), named ? text.substr(equals + 1) : text);
    }
    options.inputs = parse_inputs(flags->inputs);
    options.limits = flags->limits.take({.memory_bytes = 64ULL << 20,
                                         .fuel = 1'000'000'000'000,
                                         .wall_time_ms = 300'000,
                                         .output_bytes = 64ULL << 20,
                                         .event_bytes = 64ULL << 20,
                                         .events = 1'000'000,
                                         .diagnostic_bytes = 1ULL << 20,
                                         .input_bytes = 64ULL << 20});
    pending.command = options;
  });
}

nlohmann::json json_of(const guardian::ModuleInfo& info) {
  nlohmann::json json{{"bytes", info.module_bytes},
                      {"functions", info.functions},
                      {"code_bytes", info.code_bytes},
                      {"largest_function_bytes", info.largest_function_bytes},
                      {"memory_min", info.memory_bytes_min},
                      {"memory_max", info.memory_bytes_max},
                      {"exports", info.exports},
                      {"imports", nlohmann::json::array()}};
  for (const auto& import : info.imports) json["imports"].push_back(import.module + "." + import.name);
  return json;
}

}  // namespace

void add_filter(CLI::App& root, Pending& pending) {
  auto& filter = *root.add_subcommand("filter", "Make, build, check and try filters.");
  filter.require_subcommand(1);
  add_new(filter, pending);
  add_build(filter, pending);
  add_check(filter, pending, /*inspect=*/false);
  add_check(filter, pending, /*inspect=*/true);
  add_local_run(filter, pending);
}

int run_filter_check(const FilterCheckOptions& options, Output& output) {
  Bytes wasm;
  try {
    wasm = read_file("FILTER", options.filter, kFilterBytesMax);
  } catch (const CLI::ValidationError& error) {
    return output.failure(kUsage, "file", error.what());
  }
  auto info = guardian::inspect(wasm);
  if (!info) {
    const auto code = static_cast<guardian::Errc>(info.error().code.value());
    return output.failure(kRefused, info.error().code.message(),
                          fmt::format("{}: a node would refuse it: {}\n     {}", options.filter.string(),
                                      escape_text(info.error().message(), 500), guardian::advice(code)));
  }
  const auto hash = hex_encode(crypto::sha256(wasm));
  auto json = json_of(*info);
  json["event"] = "checked";
  json["ok"] = true;
  json["sha256"] = hash;
  output.object(json);
  output.line(fmt::format("{} {}: {}, {} functions, sha256 {}", output.green("ok"), options.filter.string(),
                          human_bytes(info->module_bytes), info->functions, hash));
  if (!options.inspect) return kDone;
  output.line(fmt::format("code      {}, the largest function {}", human_bytes(info->code_bytes),
                          human_bytes(info->largest_function_bytes)));
  output.line(fmt::format("memory    {} at the start, at most {}", server::size_text(info->memory_bytes_min),
                          server::size_text(info->memory_bytes_max)));
  output.line(fmt::format("globals   {}, tables {}, data segments {}, element segments {}", info->globals, info->tables,
                          info->data_segments, info->element_segments));
  for (const auto& import : info->imports)
    output.line(fmt::format("import    {}.{}", escape_text(import.module), escape_text(import.name)));
  for (const auto& name : info->exports) output.line("export    " + escape_text(name));
  return kDone;
}

}  // namespace nmp::cli
