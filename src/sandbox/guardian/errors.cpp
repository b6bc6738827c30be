#include "sandbox/guardian/errors.hpp"

namespace nmp::guardian {

std::error_code make_error_code(Errc code) {
  static const EnumCategory<Errc> category("guardian", [](Errc value) -> std::string_view {
    switch (value) {
      case Errc::too_large: return "too_large: the module is larger than this node takes";
      case Errc::not_wasm: return "not_wasm: this is not a WebAssembly module";
      case Errc::component: return "component: WebAssembly components are not available yet; send a core module";
      case Errc::version: return "version: the module is of another format version than 1";
      case Errc::truncated: return "truncated: the module ends too early";
      case Errc::malformed: return "malformed: the module breaks the WebAssembly binary format";
      case Errc::section_order: return "section_order: a section is out of order, repeated or unknown";
      case Errc::name_too_long: return "name_too_long: a name in the module is too long or not UTF-8";
      case Errc::too_many_types: return "too_many_types: the module declares too many function types";
      case Errc::type_too_wide: return "type_too_wide: a function type has too many parameters or results";
      case Errc::type_not_allowed: return "type_not_allowed: a type is not a plain function of numbers and references";
      case Errc::too_many_imports: return "too_many_imports: the module imports too much";
      case Errc::import_module: return "import_module: a filter imports from wasi_snapshot_preview1 and nmp only";
      case Errc::import_unknown: return "import_unknown: the filter ABI has no such function";
      case Errc::import_signature: return "import_signature: an imported function has another type in the filter ABI";
      case Errc::import_kind: return "import_kind: a filter imports functions only, no memory, table or global";
      case Errc::too_many_functions: return "too_many_functions: the module defines too many functions";
      case Errc::function_too_large: return "function_too_large: one function is too large to compile safely";
      case Errc::code_too_large: return "code_too_large: the module holds too much code";
      case Errc::too_many_locals: return "too_many_locals: a function declares too many locals";
      case Errc::too_many_tables: return "too_many_tables: the module defines too many tables";
      case Errc::table_too_large: return "table_too_large: a table starts with too many elements";
      case Errc::table_kind: return "table_kind: a table is 64-bit, shared, or of a kind that is not allowed";
      case Errc::no_memory: return "no_memory: a filter defines one memory and exports it as `memory`";
      case Errc::too_many_memories: return "too_many_memories: a filter has one memory";
      case Errc::memory_kind: return "memory_kind: shared, 64-bit and custom-page memories are not allowed";
      case Errc::memory_too_large: return "memory_too_large: the memory starts larger than the run may use";
      case Errc::too_many_globals: return "too_many_globals: the module defines too many globals";
      case Errc::too_many_exports: return "too_many_exports: the module exports too much";
      case Errc::export_repeated: return "export_repeated: two exports share a name, or name nothing";
      case Errc::no_start_export: return "no_start_export: a filter exports `_start`, without parameters and results";
      case Errc::start_section: return "start_section: code that runs before `_start` is not allowed";
      case Errc::too_many_elements: return "too_many_elements: the module has too many element segments";
      case Errc::too_many_data: return "too_many_data: the module has too many data segments";
      case Errc::custom_too_large: return "custom_too_large: custom sections are too large or too many";
      case Errc::tags_not_allowed: return "tags_not_allowed: exception tags are not part of the profile";
      case Errc::branch_table_too_large: return "branch_table_too_large: a br_table has too many targets";
      case Errc::opcode_not_allowed: return "opcode_not_allowed: an instruction is outside WebAssembly 2.0";
      case Errc::compile_too_long: return "compile_too_long: the module would take too long to compile";
    }
    return "unknown";
  });
  return {static_cast<int>(code), category};
}

}  // namespace nmp::guardian
