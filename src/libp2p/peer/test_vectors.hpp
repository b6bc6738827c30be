#pragma once

#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "base/encoding.hpp"
#include "base/secret.hpp"

/// For tests: `name = value` lines of a file in testdata/.
namespace nmp::libp2p {

inline std::vector<std::pair<std::string, std::string>> load_lines(const std::string& file_name) {
  std::ifstream file(NMP_SOURCE_DIR "/src/libp2p/peer/testdata/" + file_name);
  std::vector<std::pair<std::string, std::string>> out;
  for (std::string line; std::getline(file, line);) {
    auto at = line.find(" = ");
    if (!line.starts_with('#') && at != std::string::npos) out.emplace_back(line.substr(0, at), line.substr(at + 3));
  }
  return out;
}
inline std::map<std::string, std::string> load_vectors(const std::string& file_name) {
  auto lines = load_lines(file_name);
  return {lines.begin(), lines.end()};
}
inline Bytes hex(std::string_view text) { return hex_decode(text).value(); }
inline SecretBytes<32> repeated(int byte) {
  SecretBytes<32> out;
  std::ranges::fill(out.mutable_view(), static_cast<std::byte>(byte));
  return out;
}

}  // namespace nmp::libp2p
