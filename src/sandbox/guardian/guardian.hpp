#pragma once

#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "sandbox/guardian/errors.hpp"
#include "sandbox/guardian/limits.hpp"

/// Reads a module before anyone compiles it: WebAssembly Core 2.0, section 5 (binary format), as far as sizes, counts,
/// names, imports and exports go, and skims function bodies for what they will cost. It does not validate them: the
/// compiler does. What it lets pass costs the compiler a bounded effort, imports nothing but the filter ABI, and starts
/// at `_start` only.
///
/// Policy that departs from the specification: no start section (nothing runs before `_start`, so that every
/// instruction is under the run's budget), exactly one memory and it is the module's own, no imported memory, table or
/// global, at most two tables, no tags. Element and data segments are counted but not checked against table and memory
/// sizes: one out of bounds ends the run at its start.
namespace nmp::guardian {

/// Ceilings that a node may lower or raise.
struct Policy {
  std::size_t module_bytes_max = kModuleBytesMax;
  std::uint64_t memory_bytes_max = 4ULL << 30;  ///< The run's budget: the memory's least size must fit.
  std::uint32_t functions_max = kFunctionsMax;
  std::size_t function_bytes_max = kFunctionBytesMax;
  std::size_t code_bytes_max = kCodeBytesMax;
  std::size_t custom_bytes_max = kCustomBytesMax;
  std::uint64_t compile_effort_max = kCompileEffortMax;
  bool needs_start = true;  ///< Off to look at a module that is no filter.
};

struct Import {
  std::string module;
  std::string name;
};

/// What `nmp filter inspect` shows.
struct ModuleInfo {
  std::size_t module_bytes = 0;
  std::vector<Import> imports;
  std::vector<std::string> exports;
  std::uint32_t types = 0;
  std::uint32_t functions = 0;  ///< Defined ones.
  std::size_t code_bytes = 0;
  std::size_t largest_function_bytes = 0;
  std::uint64_t compile_effort = 0;  ///< Estimated microseconds of one core.
  std::uint64_t memory_bytes_min = 0;
  std::uint64_t memory_bytes_max = 0;  ///< As declared; 4 GiB without a declaration.
  bool grows_memory = false;           ///< Some function holds memory.grow.
  std::uint32_t tables = 0;
  std::uint64_t table_elements_max = 0;  ///< All tables together, as declared; each kTableElementsMax at most.
  std::uint32_t globals = 0;
  std::uint32_t data_segments = 0;
  std::uint32_t element_segments = 0;
  std::size_t custom_bytes = 0;

  [[nodiscard]] bool imports_from(std::string_view module) const;
};

/// Time: one pass. Memory: a few bytes a function. Errors: Errc, each with its sentence; the context says where.
Result<ModuleInfo> inspect(ByteView wasm, const Policy& policy = {});

/// One line for a person: which rule, and what to do about it.
[[nodiscard]] std::string_view advice(Errc code);

}  // namespace nmp::guardian
