/// One line of CSV as fields (RFC 4180, but for line breaks inside quotes, which end the field).
#pragma once

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace csv {

/// Splits lines. Fields are views into the line, or into `unquoted` text kept until the next call.
class Splitter {
 public:
  const std::vector<std::string_view>& split(std::string_view line) {
    fields_.clear();
    unquoted_.clear();
    unquoted_.reserve(line.size());  // so that views into it stay
    if (line.find('"') == std::string_view::npos) {
      std::size_t begin = 0;
      while (true) {
        const std::size_t comma = line.find(',', begin);
        if (comma == std::string_view::npos) break;
        fields_.push_back(line.substr(begin, comma - begin));
        begin = comma + 1;
      }
      fields_.push_back(line.substr(begin));
      return fields_;
    }
    std::size_t i = 0;
    while (true) {
      if (i < line.size() && line[i] == '"') {
        const std::size_t start = unquoted_.size();
        for (++i; i < line.size(); ++i) {
          if (line[i] == '"') {
            if (i + 1 < line.size() && line[i + 1] == '"')
              ++i;
            else
              break;
          }
          unquoted_ += line[i];
        }
        fields_.push_back(std::string_view(unquoted_).substr(start));
        i = std::min(line.find(',', std::min(i, line.size())), line.size());
      } else {
        const std::size_t end = std::min(line.find(',', i), line.size());
        fields_.push_back(line.substr(i, end - i));
        i = end;
      }
      if (i >= line.size()) return fields_;
      ++i;
    }
  }

 private:
  std::vector<std::string_view> fields_;
  std::string unquoted_;
};

/// A whole decimal number: [-]digits[.digits][e[-]digits], or nothing. libc++ 19 has no from_chars for doubles; numbers
/// of up to 18 digits without an exponent, the common case, are read without strtod.
inline std::optional<double> number(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  if (text.empty() || text.size() > 40) return std::nullopt;
  static constexpr double kPowers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8, 1e9,
                                       1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18};
  std::string_view rest = text;
  const bool negative = rest.starts_with('-');
  if (negative) rest.remove_prefix(1);
  long long value = 0;
  std::size_t digits = 0;
  std::size_t decimals = 0;
  bool point = false;
  bool simple = !rest.empty();
  for (char c : rest) {
    if (c == '.' && !point) {
      point = true;
    } else if (c >= '0' && c <= '9' && digits < 15) {
      value = value * 10 + (c - '0');
      ++digits;
      decimals += point ? 1 : 0;
    } else {
      simple = false;
      break;
    }
  }
  if (simple && digits > 0) {
    const double result = static_cast<double>(value) / kPowers[decimals];
    return negative ? -result : result;
  }
  if (text.find_first_not_of("+-.0123456789eE") != std::string_view::npos) return std::nullopt;  // no "nan", "inf", hex
  const std::string copy(text);
  char* end = nullptr;
  const double result = std::strtod(copy.c_str(), &end);
  if (end != copy.c_str() + copy.size()) return std::nullopt;
  return result;
}

}  // namespace csv
