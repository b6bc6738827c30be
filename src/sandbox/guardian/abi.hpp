#pragma once

#include <span>
#include <string_view>

/// The functions that a filter may import, and nothing else: WASI preview 1
/// (github.com/WebAssembly/WASI, tag snapshot-01, phases/snapshot/witx/wasi_snapshot_preview1.witx; with sock_accept)
/// and the `nmp` module of Filter ABI v1 (filters/nmp.h).
namespace nmp::guardian {

inline constexpr std::string_view kWasiModule = "wasi_snapshot_preview1";
inline constexpr std::string_view kNmpModule = "nmp";

struct AbiFunction {
  std::string_view module;
  std::string_view name;
  /// Parameters, `>`, results: `i` = i32, `I` = i64.
  std::string_view type;
};

/// All of them; WASI first.
[[nodiscard]] std::span<const AbiFunction> abi_functions();
/// Null if there is none of that name.
[[nodiscard]] const AbiFunction* find_abi_function(std::string_view module, std::string_view name);

}  // namespace nmp::guardian
