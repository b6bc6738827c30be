#include "cli/output.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "base/encoding.hpp"
#include "core/errors.hpp"

namespace nmp::cli {
namespace {

bool is_terminal(std::FILE* file) { return ::isatty(::fileno(file)) == 1; }

bool wants_colour() {
  const char* none = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return (none == nullptr || *none == '\0') && term != nullptr && std::strcmp(term, "dumb") != 0;
}

bool knows_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    const std::string_view text = value;
    return text.find("UTF-8") != std::string_view::npos || text.find("utf8") != std::string_view::npos;
  }
  return false;
}

/// Columns that text takes on a terminal, near enough: code points.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

}  // namespace

int exit_of(std::string_view reason) {
  const auto* known = core::find_reason(reason);
  return known == nullptr ? kFilterFailed : known->exit;
}

Output::Output(Options options)
    : options_(options),
      terminal_(is_terminal(options.out)),
      colour_(terminal_ && wants_colour()),
      progress_terminal_(!options.json && is_terminal(options.err) && wants_colour()) {}

Output::~Output() { clear_progress(); }

void Output::object(const nlohmann::json& value) {
  const std::lock_guard lock(mutex_);
  write_object(value);
}

void Output::write_object(const nlohmann::json& value) {
  if (!options_.json) return;
  auto text = value.dump(-1, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace);
  text += '\n';
  std::fwrite(text.data(), 1, text.size(), options_.out);
  std::fflush(options_.out);
}

void Output::line(std::string_view text) {
  const std::lock_guard lock(mutex_);
  write_line(text);
}

void Output::write_line(std::string_view text) {
  if (options_.json) return;
  clear_progress();
  fmt::print(options_.out, "{}\n", text);
  std::fflush(options_.out);
}

void Output::bytes(ByteView bytes) {
  if (options_.json) return;
  const std::lock_guard lock(mutex_);
  clear_progress();
  if (!terminal_) {
    std::fwrite(bytes.data(), 1, bytes.size(), options_.out);
  } else {
    auto rest = text_of(bytes);
    while (!rest.empty()) {
      const auto end = std::min(rest.find('\n'), rest.size());
      fmt::print(options_.out, "{}\n", escape_text(rest.substr(0, end), /*size_max=*/1 << 20));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  std::fflush(options_.out);
}

void Output::table(const std::vector<std::vector<std::string>>& rows) {
  if (options_.json) return;
  const std::lock_guard lock(mutex_);
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  for (const auto& row : rows) {
    std::string text;
    for (std::size_t i = 0; i < row.size(); ++i) {
      text += row[i];
      if (i + 1 < row.size()) text.append(widths[i] - width_of(row[i]) + 2, ' ');
    }
    write_line(&row == rows.data() ? bold(text) : text);
  }
}

void Output::progress(std::string_view text) {
  if (!progress_terminal_) return;
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock) return;
  clear_progress();
  fmt::print(options_.err, "{}", text);
  std::fflush(options_.err);
  progress_shown_ = true;
}

void Output::clear_progress() {
  if (!progress_shown_) return;
  fmt::print(options_.err, "\r\033[K");
  std::fflush(options_.err);
  progress_shown_ = false;
}

int Output::failure(int code, std::string_view reason, std::string_view message) {
  const std::lock_guard lock(mutex_);
  clear_progress();
  write_object({{"event", "error"}, {"reason", reason}, {"message", message}});
  fmt::print(options_.err, "nmp: {}\n", message);
  std::fflush(options_.err);
  return code;
}

std::string Output::styled(std::string_view code, std::string_view text) const {
  return colour_ ? fmt::format("\033[{}m{}\033[0m", code, text) : std::string(text);
}

std::string human_bytes(std::uint64_t bytes) {
  if (bytes < 1000) return fmt::format("{} bytes", bytes);
  auto value = static_cast<double>(bytes) / 1000;
  for (auto unit : {"kB", "MB", "GB"}) {
    if (value < 999.95) return fmt::format("{:.1f} {}", value, unit);
    value /= 1000;
  }
  return fmt::format("{:.1f} TB", value);
}

std::string bar(double fraction, std::size_t width) {
  const auto filled = static_cast<std::size_t>(std::clamp(fraction, 0.0, 1.0) * static_cast<double>(width) + 0.5);
  const bool blocks = knows_utf8();
  std::string out;
  for (std::size_t i = 0; i < width; ++i) out += i < filled ? (blocks ? "\u2588" : "#") : (blocks ? "\u2591" : ".");
  return out;
}

nlohmann::json json_bytes(ByteView bytes) {
  if (is_utf8(text_of(bytes))) return string_of(bytes);
  return {{"base64", base64_encode(bytes)}};
}

}  // namespace nmp::cli
