#pragma once

#include <string_view>

/// filters/nmp.h and filters/nmp.hpp, so that the program can scaffold and build filters without its source tree.
namespace nmp::cli {

[[nodiscard]] std::string_view nmp_h();
[[nodiscard]] std::string_view nmp_hpp();

}  // namespace nmp::cli
