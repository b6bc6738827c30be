#pragma once

#include <cstdint>

#include "base/bytes.hpp"

namespace nmp::sandbox {

enum class OutputKind : std::uint8_t { event = 0, evidence = 1, diagnostics = 2, state = 3 };

/// What a guest wrote, in its order. Evidence comes in pieces that follow each other; an event is whole, and so is a
/// watchdog's state, which replaces the one before.
struct Output {
  OutputKind kind = OutputKind::event;
  Bytes bytes;
};

}  // namespace nmp::sandbox
