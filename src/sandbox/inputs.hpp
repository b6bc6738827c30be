#pragma once

#include <map>
#include <string>

#include "base/bytes.hpp"

namespace nmp::sandbox {

/// The inputs of a run, by name.
using Inputs = std::map<std::string, Bytes>;

}  // namespace nmp::sandbox
