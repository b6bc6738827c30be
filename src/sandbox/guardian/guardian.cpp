#include "sandbox/guardian/guardian.hpp"

#include <array>
#include <set>

#include <fmt/format.h>

#include "base/codec.hpp"
#include "base/encoding.hpp"
#include "sandbox/guardian/abi.hpp"
#include "sandbox/guardian/body.hpp"

namespace nmp::guardian {

namespace {

// WebAssembly Core 2.0, section 5.5.2; 13 is the exception-handling proposal's.
enum class Section : std::uint8_t {
  custom = 0,
  type,
  import,
  function,
  table,
  memory,
  global,
  exports,
  start,
  element,
  code,
  data,
  data_count,
  tag
};
constexpr std::uint8_t kSectionLast = 13;

/// Where a section stands in the order (section 5.5.16): data count comes before code.
int place_of(Section section) {
  switch (section) {
    case Section::custom: return 0;
    case Section::type: return 1;
    case Section::import: return 2;
    case Section::function: return 3;
    case Section::table: return 4;
    case Section::memory: return 5;
    case Section::tag: return 6;
    case Section::global: return 7;
    case Section::exports: return 8;
    case Section::start: return 9;
    case Section::element: return 10;
    case Section::data_count: return 11;
    case Section::code: return 12;
    case Section::data: return 13;
  }
  return 0;
}

/// Section 5.2.2: at most 5 bytes, spare bits of the fifth zero; longer forms of small numbers are allowed.
Result<std::uint32_t> leb32(Reader& reader) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 35; shift += 7) {
    auto byte = reader.u8();
    if (!byte) return fail(Errc::truncated);
    value |= std::uint64_t{*byte & 0x7fU} << shift;
    if ((*byte & 0x80U) == 0) {
      if (value > 0xffff'ffffU) return fail(Errc::malformed, "integer over 32 bits");
      return static_cast<std::uint32_t>(value);
    }
  }
  return fail(Errc::malformed, "integer too long");
}

Result<std::uint8_t> byte(Reader& reader) {
  auto value = reader.u8();
  if (!value) return fail(Errc::truncated);
  return *value;
}

Result<ByteView> take(Reader& reader, std::size_t size) {
  auto bytes = reader.take(size);
  if (!bytes) return fail(Errc::truncated);
  return *bytes;
}

Result<std::string_view> name(Reader& reader) {
  NMP_TRY(auto size, leb32(reader));
  if (size > kNameBytesMax) return fail(Errc::name_too_long);
  NMP_TRY(auto bytes, take(reader, size));
  if (!is_utf8(text_of(bytes))) return fail(Errc::name_too_long, "not UTF-8");
  return text_of(bytes);
}

/// A vector's length: refused above its ceiling, and above what the section can hold at one byte an item.
Result<std::uint32_t> count(Reader& reader, std::uint32_t max, Errc too_many) {
  NMP_TRY(auto value, leb32(reader));
  if (value > max) return fail(too_many, fmt::format("{}", value));
  if (value > reader.size()) return fail(Errc::truncated);
  return value;
}

struct Limits {
  std::uint8_t flags = 0;
  std::uint32_t min = 0;
  std::uint32_t max = 0;
};

/// Section 5.3.8, flags 0 and 1 only; `kind` for all others (shared, 64-bit, custom pages).
Result<Limits> limits(Reader& reader, Errc kind) {
  Limits out;
  NMP_TRY(out.flags, byte(reader));
  if (out.flags > 1) return fail(kind);
  NMP_TRY(out.min, leb32(reader));
  out.max = 0xffff'ffffU;
  if (out.flags == 1) {
    NMP_TRY(out.max, leb32(reader));
    if (out.max < out.min) return fail(Errc::malformed, "limits");
  }
  return out;
}

char letter_of(std::uint8_t value_type) {  // section 5.3.4; 0 for what the profile does not have
  switch (value_type) {
    case 0x7f: return 'i';
    case 0x7e: return 'I';
    case 0x7d: return 'f';
    case 0x7c: return 'F';
    case 0x7b: return 'v';
    case 0x70: return 'r';
    case 0x6f: return 'x';
    default: return 0;
  }
}

class Inspector {
 public:
  explicit Inspector(const Policy& policy) : policy_(policy) {}

  Result<ModuleInfo> inspect(ByteView wasm) {
    if (wasm.size() > policy_.module_bytes_max) return fail(Errc::too_large, fmt::format("{} bytes", wasm.size()));
    info_.module_bytes = wasm.size();
    NMP_TRY(auto rest, preamble(wasm));
    Reader reader(rest);
    int place = 0;
    while (!reader.empty()) {
      NMP_TRY(auto id, byte(reader));
      NMP_TRY(auto size, leb32(reader));
      NMP_TRY(auto body, take(reader, size));
      if (id > kSectionLast) return fail(Errc::section_order, fmt::format("section {}", id));
      const auto section = static_cast<Section>(id);
      if (section != Section::custom) {
        if (place_of(section) <= place) return fail(Errc::section_order, fmt::format("section {}", id));
        place = place_of(section);
      }
      Reader content(body);
      NMP_TRY(bool whole, read(section, content));
      if (whole && !content.empty()) return fail(Errc::malformed, fmt::format("section {} is too long", id));
    }
    NMP_CHECK(check_whole());
    return std::move(info_);
  }

 private:
  Result<ByteView> preamble(ByteView wasm) {
    static constexpr std::array<std::uint8_t, 4> kMagic{0x00, 0x61, 0x73, 0x6d};
    if (wasm.size() < 8) return fail(Errc::not_wasm);
    if (!equal(wasm.first(4), view_of(kMagic.data(), 4))) return fail(Errc::not_wasm);
    const auto version = wasm.subspan(4, 4);
    // A component has layer 1 in the upper half (component-model, design/mvp/Binary.md).
    if (version[2] == std::byte{1} && version[3] == std::byte{0}) return fail(Errc::component);
    if (version[0] != std::byte{1} || version[1] != std::byte{0} || version[2] != std::byte{0} ||
        version[3] != std::byte{0})
      return fail(Errc::version);
    return wasm.subspan(8);
  }

  /// True if the section was read to its end; false if what is left is for the compiler to check.
  Result<bool> read(Section section, Reader& reader) {
    switch (section) {
      case Section::custom: NMP_CHECK(custom(reader)); return false;
      case Section::type: NMP_CHECK(types(reader)); return true;
      case Section::import: NMP_CHECK(imports(reader)); return true;
      case Section::function: NMP_CHECK(functions(reader)); return true;
      case Section::table: NMP_CHECK(tables(reader)); return true;
      case Section::memory: NMP_CHECK(memories(reader)); return true;
      case Section::global: {
        NMP_TRY(info_.globals, count(reader, kGlobalsMax, Errc::too_many_globals));
        return false;
      }
      case Section::exports: NMP_CHECK(exports(reader)); return true;
      case Section::start: return fail(Errc::start_section);
      case Section::element: {
        NMP_TRY(info_.element_segments, count(reader, kElementSegmentsMax, Errc::too_many_elements));
        return false;
      }
      case Section::code: NMP_CHECK(code(reader)); return true;
      case Section::data: {
        NMP_TRY(info_.data_segments, count(reader, kDataSegmentsMax, Errc::too_many_data));
        return false;
      }
      case Section::data_count: {
        NMP_TRY(auto segments, leb32(reader));
        if (segments > kDataSegmentsMax) return fail(Errc::too_many_data);
        return true;
      }
      case Section::tag: return fail(Errc::tags_not_allowed);
    }
    return fail(Errc::section_order);
  }

  Result<void> custom(Reader& reader) {
    info_.custom_bytes += reader.size();
    if (++customs_ > kCustomSectionsMax || info_.custom_bytes > policy_.custom_bytes_max)
      return fail(Errc::custom_too_large);
    NMP_CHECK(name(reader));
    return {};
  }

  Result<std::string> value_types(Reader& reader, std::uint32_t max) {
    NMP_TRY(auto size, leb32(reader));
    if (size > max) return fail(Errc::type_too_wide);
    std::string out;
    for (std::uint32_t i = 0; i < size; ++i) {
      NMP_TRY(auto type, byte(reader));
      const char letter = letter_of(type);
      if (letter == 0) return fail(Errc::type_not_allowed, fmt::format("value type {:#x}", type));
      out.push_back(letter);
    }
    return out;
  }

  Result<void> types(Reader& reader) {
    NMP_TRY(info_.types, count(reader, kTypesMax, Errc::too_many_types));
    for (std::uint32_t i = 0; i < info_.types; ++i) {
      NMP_TRY(auto form, byte(reader));
      if (form != 0x60) return fail(Errc::type_not_allowed, fmt::format("type form {:#x}", form));
      NMP_TRY(auto parameters, value_types(reader, kParametersMax));
      NMP_TRY(auto results, value_types(reader, kResultsMax));
      types_.push_back(fmt::format("{}>{}", parameters, results));
    }
    return {};
  }

  Result<void> imports(Reader& reader) {
    NMP_TRY(auto size, count(reader, kImportsMax, Errc::too_many_imports));
    for (std::uint32_t i = 0; i < size; ++i) {
      NMP_TRY(auto module, name(reader));
      NMP_TRY(auto function, name(reader));
      NMP_TRY(auto kind, byte(reader));
      const auto where = fmt::format("{}.{}", escape_text(module), escape_text(function));
      if (kind != 0) return fail(Errc::import_kind, where);
      NMP_TRY(auto type, leb32(reader));
      if (type >= types_.size()) return fail(Errc::malformed, "type of an import");
      if (module != kWasiModule && module != kNmpModule) return fail(Errc::import_module, where);
      const auto* known = find_abi_function(module, function);
      if (known == nullptr) return fail(Errc::import_unknown, where);
      if (known->type != types_[type]) return fail(Errc::import_signature, where);
      info_.imports.push_back({std::string(module), std::string(function)});
    }
    return {};
  }

  Result<void> functions(Reader& reader) {
    NMP_TRY(info_.functions, count(reader, policy_.functions_max, Errc::too_many_functions));
    function_types_.reserve(info_.functions);
    for (std::uint32_t i = 0; i < info_.functions; ++i) {
      NMP_TRY(auto type, leb32(reader));
      if (type >= types_.size()) return fail(Errc::malformed, "type of a function");
      function_types_.push_back(type);
    }
    return {};
  }

  Result<void> tables(Reader& reader) {
    NMP_TRY(info_.tables, count(reader, kTablesMax, Errc::too_many_tables));
    for (std::uint32_t i = 0; i < info_.tables; ++i) {
      NMP_TRY(auto type, byte(reader));
      if (type != 0x70 && type != 0x6f) return fail(Errc::table_kind);
      NMP_TRY(auto size, limits(reader, Errc::table_kind));
      if (size.min > kTableElementsMax) return fail(Errc::table_too_large, fmt::format("{} elements", size.min));
      info_.table_elements_max += std::min(size.max, kTableElementsMax);
    }
    return {};
  }

  Result<void> memories(Reader& reader) {
    NMP_TRY(memories_, count(reader, 1, Errc::too_many_memories));
    for (std::uint32_t i = 0; i < memories_; ++i) {
      NMP_TRY(auto size, limits(reader, Errc::memory_kind));
      if (size.min > 65'536) return fail(Errc::malformed, "memory over 4 GiB");  // section 3.2.4
      info_.memory_bytes_min = std::uint64_t{size.min} * kWasmPageBytes;
      info_.memory_bytes_max = std::uint64_t{std::min(size.max, 65'536U)} * kWasmPageBytes;
      if (info_.memory_bytes_min > policy_.memory_bytes_max)
        return fail(Errc::memory_too_large, fmt::format("{} bytes", info_.memory_bytes_min));
    }
    return {};
  }

  Result<void> exports(Reader& reader) {
    NMP_TRY(auto size, count(reader, kExportsMax, Errc::too_many_exports));
    std::set<std::string_view> names;
    for (std::uint32_t i = 0; i < size; ++i) {
      NMP_TRY(auto text, name(reader));
      NMP_TRY(auto kind, byte(reader));
      NMP_TRY(auto index, leb32(reader));
      if (!names.insert(text).second) return fail(Errc::export_repeated, escape_text(text));
      if (kind > 3) return fail(kind == 4 ? Errc::tags_not_allowed : Errc::malformed, "kind of an export");
      if (text == "memory" && kind == 2 && index == 0 && memories_ == 1) exports_memory_ = true;
      if (text == "_start" && kind == 0) exports_start_ = is_start(index);
      info_.exports.emplace_back(text);
    }
    return {};
  }

  [[nodiscard]] bool is_start(std::uint32_t function) const {
    if (function < info_.imports.size()) return false;  // an import as `_start` would run no code of the module
    const auto own = function - info_.imports.size();
    return own < function_types_.size() && types_[function_types_[own]] == ">";
  }

  Result<void> code(Reader& reader) {
    info_.code_bytes = reader.size();
    if (info_.code_bytes > policy_.code_bytes_max)
      return fail(Errc::code_too_large, fmt::format("{} bytes", info_.code_bytes));
    NMP_TRY(bodies_, count(reader, policy_.functions_max, Errc::too_many_functions));
    for (std::uint32_t i = 0; i < bodies_; ++i) {
      NMP_TRY(auto size, leb32(reader));
      if (size > policy_.function_bytes_max)
        return fail(Errc::function_too_large, fmt::format("function {}: {} bytes", info_.imports.size() + i, size));
      info_.largest_function_bytes = std::max<std::size_t>(info_.largest_function_bytes, size);
      NMP_TRY(auto body, take(reader, size));
      Reader content(body);
      NMP_TRY(auto runs, leb32(content));
      if (runs > content.size()) return fail(Errc::truncated);
      std::uint64_t locals = i < function_types_.size() ? types_[function_types_[i]].find('>') : 0;
      for (std::uint32_t j = 0; j < runs; ++j) {
        NMP_TRY(auto more, leb32(content));
        NMP_TRY(auto type, byte(content));
        if (letter_of(type) == 0) return fail(Errc::type_not_allowed, "type of a local");
        locals += more;
        if (locals > kLocalsMax)
          return fail(Errc::too_many_locals, fmt::format("function {}", info_.imports.size() + i));
      }
      NMP_TRY(const auto seen, inspect_body(body.last(content.size()), locals));
      info_.compile_effort += seen.effort;
      info_.grows_memory = info_.grows_memory || seen.grows_memory;
      if (info_.compile_effort > policy_.compile_effort_max)
        return fail(Errc::compile_too_long, fmt::format("at function {}", info_.imports.size() + i));
    }
    return {};
  }

  [[nodiscard]] Result<void> check_whole() const {
    if (bodies_ != info_.functions) return fail(Errc::malformed, "functions without code, or code without functions");
    if (!policy_.needs_start) return {};
    if (!exports_memory_) return fail(Errc::no_memory);
    if (!exports_start_) return fail(Errc::no_start_export);
    return {};
  }

  const Policy& policy_;
  ModuleInfo info_;
  std::vector<std::string> types_;
  std::vector<std::uint32_t> function_types_;
  std::uint32_t memories_ = 0;
  std::uint32_t bodies_ = 0;
  std::uint32_t customs_ = 0;
  bool exports_memory_ = false;
  bool exports_start_ = false;
};

}  // namespace

bool ModuleInfo::imports_from(std::string_view module) const {
  for (const auto& import : imports)
    if (import.module == module) return true;
  return false;
}

Result<ModuleInfo> inspect(ByteView wasm, const Policy& policy) { return Inspector(policy).inspect(wasm); }

std::string_view advice(Errc code) {
  switch (code) {
    case Errc::component: return "build for wasm32-wasi (preview 1), not wasip2";
    case Errc::import_module:
    case Errc::import_unknown:
    case Errc::import_signature:
      return "build for wasm32-wasi and use filters/nmp.h; emscripten and browser modules do not run here";
    case Errc::import_kind: return "link without --import-memory and --import-table";
    case Errc::no_memory: return "export the memory as `memory` (the default of wasm-ld)";
    case Errc::memory_kind: return "build without threads, without memory64";
    case Errc::memory_too_large: return "ask for more --memory, or link with a smaller --initial-memory";
    case Errc::no_start_export: return "build a command, not a reactor or library: a main() function";
    case Errc::start_section: return "link without --start";
    case Errc::custom_too_large: return "strip it: -s, wasm-strip, or go build -ldflags='-s -w'";
    case Errc::too_large:
    case Errc::code_too_large: return "optimise for size (-Oz) and strip it";
    case Errc::function_too_large: return "lower inlining (-Os), or split the function";
    case Errc::compile_too_long: return "build with -Os or -Oz, lower inlining, or split what is generated";
    case Errc::opcode_not_allowed: return "build for WebAssembly 2.0: without threads, tail calls and relaxed SIMD";
    case Errc::tags_not_allowed: return "build without exceptions (-fno-exceptions)";
    default: return "build it with `nmp filter build`";
  }
}

}  // namespace nmp::guardian
