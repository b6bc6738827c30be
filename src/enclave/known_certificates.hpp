#pragma once

#include <string_view>
#include <vector>

namespace nmp::enclave {

/// The texts of roots/*.pem. Being here makes nothing trusted: roots.hpp names by fingerprint which of them are.
[[nodiscard]] const std::vector<std::string_view>& known_certificates_pem();

}  // namespace nmp::enclave
