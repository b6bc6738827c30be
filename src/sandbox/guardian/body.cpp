#include "sandbox/guardian/body.hpp"

#include <fmt/format.h>

#include "sandbox/guardian/errors.hpp"
#include "sandbox/guardian/limits.hpp"

namespace nmp::guardian {

namespace {

// Microseconds. A function costs its trampoline and frame; a loop its fuel and epoch checks; a join costs a phi for
// every local that may differ; calls and globals are what alias analysis and register allocation stumble over.
constexpr std::uint64_t kPerFunction = 120;
constexpr std::uint64_t kPerByte = 1;
constexpr std::uint64_t kPerLoop = 50;
constexpr std::uint64_t kLoopDepthPerMicrosecond = 100;
constexpr std::uint64_t kPerBranch = 5;
constexpr std::uint64_t kPerCall = 8;
constexpr std::uint64_t kPerGlobal = 12;
constexpr std::uint64_t kJoinedLocalsPerMicrosecond = 2;
constexpr std::uint64_t kJoinPairsPerMicrosecond = 570;  // live ranges that meet: with the square of a function's joins

/// Skips immediates (WebAssembly Core 2.0, section 5.4).
class Cursor {
 public:
  explicit Cursor(ByteView code) : code_(code) {}
  [[nodiscard]] bool empty() const { return at_ >= code_.size(); }
  [[nodiscard]] std::size_t left() const { return code_.size() - at_; }

  Result<std::uint8_t> byte() {
    if (empty()) return fail(Errc::truncated);
    return std::to_integer<std::uint8_t>(code_[at_++]);
  }
  Result<void> skip(std::size_t size) {
    if (size > left()) return fail(Errc::truncated);
    at_ += size;
    return {};
  }
  /// A LEB128 number of at most `bytes` bytes; its low 32 bits.
  Result<std::uint32_t> leb(unsigned bytes = 5) {
    std::uint64_t value = 0;
    for (unsigned i = 0; i < bytes; ++i) {
      NMP_TRY(const auto next, byte());
      if (i < 5) value |= std::uint64_t{next & 0x7fU} << (7 * i);
      if ((next & 0x80U) == 0) return static_cast<std::uint32_t>(value);
    }
    return fail(Errc::malformed, "integer too long");
  }
  Result<void> lebs(unsigned count) {
    for (unsigned i = 0; i < count; ++i) NMP_CHECK(leb());
    return {};
  }
  Result<void> memory_argument() {
    NMP_TRY(const auto alignment, leb());
    if (alignment >= 32) return fail(Errc::malformed, "alignment");  // bit 6 would name another memory
    NMP_CHECK(leb());
    return {};
  }

 private:
  ByteView code_;
  std::size_t at_ = 0;
};

struct Shape {
  std::uint64_t loops = 0;
  std::uint64_t loop_levels = 0;  // of each loop, how many it lies in, added up
  std::uint64_t branches = 0;
  std::uint64_t joins = 0;
  std::uint64_t calls = 0;
  std::uint64_t globals = 0;
  bool grows_memory = false;
};

Result<void> refuse(std::uint32_t opcode) { return fail(Errc::opcode_not_allowed, fmt::format("{:#x}", opcode)); }

Result<void> prefixed_fc(Cursor& cursor) {  // saturating conversions, bulk memory, tables
  NMP_TRY(const auto opcode, cursor.leb());
  if (opcode <= 7) return {};
  switch (opcode) {
    case 8:
    case 10:
    case 12:
    case 14: return cursor.lebs(2);
    case 9:
    case 11:
    case 13:
    case 15:
    case 16:
    case 17: return cursor.lebs(1);
    default: return refuse(0xfc00 + opcode);
  }
}

Result<void> prefixed_fd(Cursor& cursor) {  // vectors
  NMP_TRY(const auto opcode, cursor.leb());
  if (opcode > 0xff) return refuse(0xfd0000 + opcode);  // relaxed
  if (opcode <= 11 || opcode == 92 || opcode == 93) return cursor.memory_argument();
  if (opcode == 12 || opcode == 13) return cursor.skip(16);
  if (opcode >= 21 && opcode <= 34) return cursor.skip(1);
  if (opcode >= 84 && opcode <= 91) {
    NMP_CHECK(cursor.memory_argument());
    return cursor.skip(1);
  }
  return {};
}

/// One instruction without those of control.
Result<void> plain(Cursor& cursor, std::uint8_t opcode, Shape& shape) {
  if (opcode >= 0x45 && opcode <= 0xc4) return {};                        // numbers
  if (opcode >= 0x28 && opcode <= 0x3e) return cursor.memory_argument();  // loads and stores
  switch (opcode) {
    case 0x00:
    case 0x01:
    case 0x0f:
    case 0x1a:
    case 0x1b:
    case 0xd1: return {};
    case 0x1c: {  // select with types
      NMP_TRY(const auto types, cursor.leb());
      return cursor.skip(types);
    }
    case 0x10: ++shape.calls; return cursor.lebs(1);
    case 0x11: ++shape.calls; return cursor.lebs(2);
    case 0x23:
    case 0x24: ++shape.globals; return cursor.lebs(1);
    case 0x20:
    case 0x21:
    case 0x22:
    case 0x25:
    case 0x26:
    case 0x3f:
    case 0x41:
    case 0xd0:
    case 0xd2: return cursor.lebs(1);
    case 0x40: shape.grows_memory = true; return cursor.lebs(1);
    case 0x42: NMP_CHECK(cursor.leb(10)); return {};
    case 0x43: return cursor.skip(4);
    case 0x44: return cursor.skip(8);
    case 0xfc: return prefixed_fc(cursor);
    case 0xfd: return prefixed_fd(cursor);
    default: return refuse(opcode);
  }
}

}  // namespace

Result<BodyInfo> inspect_body(ByteView code, std::uint64_t locals) {
  Cursor cursor(code);
  Shape shape;
  std::vector<bool> open;  // blocks; true: a loop
  std::uint64_t loop_depth = 0;
  for (;;) {
    NMP_TRY(const auto opcode, cursor.byte());
    if (opcode == 0x0b) {
      if (open.empty()) break;
      if (open.back()) --loop_depth;
      open.pop_back();
      continue;
    }
    switch (opcode) {
      case 0x02:
      case 0x03:
      case 0x04:
        NMP_CHECK(cursor.leb());  // a block's type: one byte, or an index as a signed number of 33 bits
        ++shape.joins;
        open.push_back(opcode == 0x03);
        if (opcode == 0x03) {
          shape.loop_levels += loop_depth++;
          ++shape.loops;
        } else if (opcode == 0x04) {
          ++shape.branches;
        }
        break;
      case 0x05: ++shape.joins; break;
      case 0x0c:
      case 0x0d:
        ++shape.branches;
        NMP_CHECK(cursor.leb());
        break;
      case 0x0e: {
        NMP_TRY(const auto targets, cursor.leb());
        if (targets >= cursor.left()) return fail(Errc::truncated);
        if (targets > kBranchTableTargetsMax) return fail(Errc::branch_table_too_large, fmt::format("{}", targets));
        for (std::uint64_t i = 0; i <= targets; ++i) NMP_CHECK(cursor.leb());
        ++shape.branches;
        break;
      }
      default: NMP_CHECK(plain(cursor, opcode, shape));
    }
  }
  if (!cursor.empty()) return fail(Errc::malformed, "code behind a function's end");
  BodyInfo out;
  out.grows_memory = shape.grows_memory;
  out.effort = kPerFunction + kPerByte * code.size() + kPerLoop * shape.loops +
               shape.loop_levels / kLoopDepthPerMicrosecond + kPerBranch * shape.branches + kPerCall * shape.calls +
               kPerGlobal * shape.globals + shape.joins * locals / kJoinedLocalsPerMicrosecond +
               shape.joins * shape.joins / kJoinPairsPerMicrosecond;
  return out;
}

}  // namespace nmp::guardian
