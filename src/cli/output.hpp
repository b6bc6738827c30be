#pragma once

#include <cstdint>
#include <cstdio>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/bytes.hpp"

namespace nmp::cli {

/// The program's exit codes: people and scripts rely on them.
enum Exit : int {
  kDone = 0,
  kFilterFailed = 1,
  kUsage = 2,
  kRefused = 3,
  kNobody = 4,  ///< Nobody found or reachable.
  kNotVerified = 5,
  kInterrupted = 130,
};

/// The exit code of a failed run's reason (docs/errors.md). One that a newer node made up is the filter's failure.
[[nodiscard]] int exit_of(std::string_view reason);

/// What a command says: with --json one JSON object a line on stdout, else words for people. Progress and complaints go
/// to stderr either way. Colour only on a terminal and without NO_COLOR (no-color.org).
/// Any thread may call. A call waits for one that a slow reader of stdout holds up; progress() is then left out.
class Output {
 public:
  struct Options {
    bool json = false;
    std::FILE* out = stdout;
    std::FILE* err = stderr;
  };
  explicit Output(Options options);
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  ~Output();

  [[nodiscard]] bool json() const { return options_.json; }
  /// Whether people see stdout at once.
  [[nodiscard]] bool terminal() const { return terminal_; }

  /// One line of --json; nothing otherwise. Flushed, so that a reader at a pipe sees it at once.
  void object(const nlohmann::json& value);
  /// One line for people; nothing with --json. The caller escapes untrusted text.
  void line(std::string_view text);
  /// Untouched bytes (evidence) for people or a pipe; nothing with --json. Control characters are escaped on a
  /// terminal.
  void bytes(ByteView bytes);
  /// Columns, the first row as heading; nothing with --json.
  void table(const std::vector<std::vector<std::string>>& rows);

  /// A line on stderr that the next one replaces; only where stderr is a terminal and without --json.
  void progress(std::string_view text);
  /// What went wrong, on stderr ("nmp: ..."); with --json also {"event":"error","reason":..,"message":..} on stdout.
  /// Returns `code`, so that `return output.failure(kRefused, "replay", "...")` reads well.
  int failure(int code, std::string_view reason, std::string_view message);

  [[nodiscard]] std::string bold(std::string_view text) const { return styled("1", text); }
  [[nodiscard]] std::string green(std::string_view text) const { return styled("32", text); }
  [[nodiscard]] std::string red(std::string_view text) const { return styled("31", text); }
  [[nodiscard]] std::string dim(std::string_view text) const { return styled("2", text); }

 private:
  [[nodiscard]] std::string styled(std::string_view code, std::string_view text) const;
  void clear_progress();
  void write_object(const nlohmann::json& value);
  void write_line(std::string_view text);

  std::mutex mutex_;
  Options options_;
  bool terminal_ = false;
  bool colour_ = false;
  bool progress_terminal_ = false;
  bool progress_shown_ = false;
};

/// "1.2 MB", "12 bytes".
[[nodiscard]] std::string human_bytes(std::uint64_t bytes);
/// `done` of `whole` as a bar of `width` characters: blocks, or `#` where the terminal knows no UTF-8.
[[nodiscard]] std::string bar(double fraction, std::size_t width);
/// Evidence and event data in --json: a string if UTF-8, else {"base64": ..}.
[[nodiscard]] nlohmann::json json_bytes(ByteView bytes);

}  // namespace nmp::cli
