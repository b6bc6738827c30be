/// Writes JSON text by appending; enough for a filter's evidence.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace json {

/// Quoted; bytes that are not valid UTF-8 become U+FFFD, so that evidence is always text.
inline std::string text(std::string_view value) {
  std::string out = "\"";
  for (std::size_t i = 0; i < value.size();) {
    const auto c = static_cast<unsigned char>(value[i]);
    auto tail = [&](std::size_t k) {
      return i + k < value.size() && (static_cast<unsigned char>(value[i + k]) & 0xc0) == 0x80;
    };
    const auto second = i + 1 < value.size() ? static_cast<unsigned char>(value[i + 1]) : 0;
    std::size_t size = 0;
    if (c < 0x80)
      size = 1;
    else if (c >= 0xc2 && c <= 0xdf && tail(1))
      size = 2;
    else if (c >= 0xe0 && c <= 0xef && tail(1) && tail(2) && !(c == 0xe0 && second < 0xa0) &&
             !(c == 0xed && second >= 0xa0))
      size = 3;
    else if (c >= 0xf0 && c <= 0xf4 && tail(1) && tail(2) && tail(3) && !(c == 0xf0 && second < 0x90) &&
             !(c == 0xf4 && second >= 0x90))
      size = 4;
    if (size == 0) {
      out += "\xef\xbf\xbd";
      ++i;
      continue;
    }
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c < 0x20 || c == 0x7f) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", c);
      out += escaped;
    } else {
      out += value.substr(i, size);
    }
    i += size;
  }
  return out + '"';
}

/// JSON has no infinity and no NaN: they become null.
inline std::string number(double value) {
  if (!std::isfinite(value)) return "null";
  char out[32];
  std::snprintf(out, sizeof out, "%.10g", value);
  return out;
}
inline std::string number(std::uint64_t value) { return std::to_string(value); }

}  // namespace json
