#pragma once

#include "libp2p/resources/limits.hpp"

namespace nmp::libp2p {

/// What the operating system says that this process may use.
[[nodiscard]] resources::Machine this_machine();

}  // namespace nmp::libp2p
