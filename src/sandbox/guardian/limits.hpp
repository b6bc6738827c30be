#pragma once

#include <cstddef>
#include <cstdint>

/// What a module may hold before anyone compiles it. Compile time and memory grow with these; each is far above what
/// the Go, Rust and C++ toolchains emit for a filter and far below what the WebAssembly JS API allows engines.
namespace nmp::guardian {

/// A Go filter is about 2.5 MiB; a JavaScript or SQL engine some MiB.
inline constexpr std::size_t kModuleBytesMax = 32 * 1024 * 1024;
inline constexpr std::uint32_t kTypesMax = 4096;
/// Parameters and results of one type, each.
inline constexpr std::uint32_t kParametersMax = 64;
inline constexpr std::uint32_t kResultsMax = 16;
/// WASI preview 1 has 45 functions, `nmp` seven; an import may be listed twice.
inline constexpr std::uint32_t kImportsMax = 128;
/// Go's runtime alone has 1,700 functions.
inline constexpr std::uint32_t kFunctionsMax = 32'768;
/// One function's code: the compiler's time and memory grow faster than its size. The largest of a Go filter has 30
/// KiB.
inline constexpr std::size_t kFunctionBytesMax = 128 * 1024;
/// Microseconds of one core that compiling may take by inspect_body(). A Go filter, whose runtime comes along, takes
/// about four seconds of one core and is estimated at that; C++ and Rust filters take 0.2 seconds.
inline constexpr std::uint64_t kCompileEffortMax = 6'000'000;
inline constexpr std::size_t kCodeBytesMax = 24 * 1024 * 1024;
/// Locals of one function, as the runs add up (a few bytes declare 2^32 of them).
inline constexpr std::uint32_t kLocalsMax = 4096;
/// Targets of one br_table. Wasmtime's and the WebAssembly JS API's ceiling.
inline constexpr std::uint32_t kBranchTableTargetsMax = 65'520;
inline constexpr std::uint32_t kTablesMax = 2;
inline constexpr std::uint32_t kTableElementsMax = 65'536;
inline constexpr std::uint32_t kGlobalsMax = 1024;
inline constexpr std::uint32_t kExportsMax = 4096;
inline constexpr std::uint32_t kElementSegmentsMax = 4096;
/// A Go filter has 40,000: its linker leaves out every run of zeros. The WebAssembly JS API's ceiling.
inline constexpr std::uint32_t kDataSegmentsMax = 100'000;
/// Names of imports, exports and custom sections.
inline constexpr std::size_t kNameBytesMax = 256;
/// Debug information is stripped for a filter; a symbol table fits.
inline constexpr std::size_t kCustomBytesMax = 4 * 1024 * 1024;
inline constexpr std::uint32_t kCustomSectionsMax = 64;
inline constexpr std::uint32_t kWasmPageBytes = 65'536;

}  // namespace nmp::guardian
