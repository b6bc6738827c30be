#pragma once

#include "base/random.hpp"

namespace nmp::crypto {

/// The operating system's generator, through OpenSSL's DRBG; fit for keys. Any thread. Stops the process if the system
/// has no entropy to give.
[[nodiscard]] Random& system_random();

}  // namespace nmp::crypto
