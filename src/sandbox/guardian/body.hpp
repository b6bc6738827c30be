#pragma once

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace nmp::guardian {

struct BodyInfo {
  std::uint64_t effort = 0;   ///< Microseconds of one core, see inspect_body().
  bool grows_memory = false;  ///< It holds memory.grow.
};

/// What the compiler will spend on one function: an estimate, right within a factor of about two for the shapes that
/// cost most: many functions, loops, branches that join many locals, calls, globals. Measured with Wasmtime's
/// optimising compiler with fuel and epochs on; see guardian_test.cpp for the shapes.
///
/// `code` is a body behind its locals. Time: one pass over the instructions; they are skipped, not validated. Errors:
/// Errc::truncated, malformed, opcode_not_allowed.
Result<BodyInfo> inspect_body(ByteView code, std::uint64_t locals);

}  // namespace nmp::guardian
