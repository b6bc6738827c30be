#pragma once

#include <string_view>

#include <wasm.h>
#include <wasmtime/wat.h>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace nmp::sandbox {

/// For tests: WebAssembly text as a binary.
inline Bytes wat(std::string_view text) {
  wasm_byte_vec_t out;
  auto* error = wasmtime_wat2wasm(text.data(), text.size(), &out);
  if (error != nullptr) {
    wasm_name_t message;
    wasmtime_error_message(error, &message);
    std::fprintf(stderr, "%.*s\n", static_cast<int>(message.size), message.data);
    NMP_ASSERT(error == nullptr);
  }
  Bytes wasm = to_bytes(view_of(reinterpret_cast<const std::uint8_t*>(out.data), out.size));
  wasm_byte_vec_delete(&out);
  return wasm;
}

}  // namespace nmp::sandbox
