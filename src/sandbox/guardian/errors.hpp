#pragma once

#include "base/result.hpp"

namespace nmp::guardian {

/// Why a module is refused: one reason, one code. The message is a plain sentence.
enum class Errc {
  too_large = 1,  ///< The module's bytes.
  not_wasm,       ///< No `\0asm`.
  component,      ///< A component (WASI preview 2): not available.
  version,        ///< A core module of another version than 1.
  truncated,      ///< Ends inside a section, or a section's content is cut.
  malformed,      ///< Not the binary format.
  section_order,  ///< Sections out of order, twice, or unknown.
  name_too_long,
  too_many_types,
  type_too_wide,     ///< Too many parameters or results.
  type_not_allowed,  ///< Not a plain function type of numbers and references.
  too_many_imports,
  import_module,     ///< From another module than wasi_snapshot_preview1 and nmp.
  import_unknown,    ///< No such function in the ABI.
  import_signature,  ///< The function is there, with another type.
  import_kind,       ///< A memory, table, global or tag is imported.
  too_many_functions,
  function_too_large,
  code_too_large,
  too_many_locals,
  too_many_tables,
  table_too_large,
  table_kind,  ///< A 64-bit or shared table, or of other elements than functions and externs.
  no_memory,   ///< None defined, or none exported as `memory`.
  too_many_memories,
  memory_kind,       ///< Shared, 64-bit or with custom pages.
  memory_too_large,  ///< The least size is over what the run may use.
  too_many_globals,
  too_many_exports,
  export_repeated,
  no_start_export,    ///< `_start` is not exported as a function without parameters and results.
  start_section,      ///< Code that runs before `_start`.
  too_many_elements,  ///< Element segments.
  too_many_data,      ///< Data segments.
  custom_too_large,
  tags_not_allowed,  ///< Exceptions are not part of the profile.
  branch_table_too_large,
  opcode_not_allowed,  ///< An instruction outside WebAssembly 2.0: threads, tail calls, exceptions, relaxed SIMD.
  compile_too_long,    ///< The compiler would take too long, by the guardian's estimate.
};
std::error_code make_error_code(Errc code);

}  // namespace nmp::guardian

template <>
struct std::is_error_code_enum<nmp::guardian::Errc> : std::true_type {};
