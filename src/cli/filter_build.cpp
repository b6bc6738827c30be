// `nmp filter new` and `nmp filter build`.
#include <algorithm>
#include <cstdlib>
#include <fstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "cli/abi_headers.hpp"
#include "cli/commands.hpp"
#include "cli/process.hpp"

namespace nmp::cli {
namespace {

constexpr std::string_view kScaffold =
    R"(/// Counts the lines of every file in the datasets, and pushes an event per file.
#include <dirent.h>
#include <wasi/api.h>

#include <cstdio>
#include <string>

#include "nmp.hpp"

namespace {

unsigned long long count_lines(const std::string& path) {
  unsigned long long lines = 0;
  std::FILE* file = std::fopen(path.c_str(), "r");
  if (file == nullptr) return 0;
  char buffer[16384];
  while (const std::size_t size = std::fread(buffer, 1, sizeof buffer, file)) {
    for (std::size_t i = 0; i < size; ++i) lines += buffer[i] == '\n';
  }
  std::fclose(file);
  return lines;
}

unsigned long long walk(const std::string& folder) {
  unsigned long long lines = 0;
  DIR* stream = ::opendir(folder.c_str());
  if (stream == nullptr) return 0;
  while (const dirent* entry = ::readdir(stream)) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    const std::string path = folder + "/" + name;
    if (entry->d_type == DT_DIR) {
      lines += walk(path);
    } else {
      const auto here = count_lines(path);
      nmp::push_event(path + ": " + std::to_string(here));
      lines += here;
    }
  }
  ::closedir(stream);
  return lines;
}

}  // namespace

int main() {
  unsigned long long lines = 0;
  __wasi_prestat_t status;
  // Datasets are the preopens, from descriptor 3 on: /data/NAME each.
  for (__wasi_fd_t fd = 3; __wasi_fd_prestat_get(fd, &status) == __WASI_ERRNO_SUCCESS; ++fd) {
    std::string path(status.u.dir.pr_name_len, '\0');
    if (__wasi_fd_prestat_dir_name(fd, reinterpret_cast<std::uint8_t*>(path.data()), path.size()) != __WASI_ERRNO_SUCCESS) break;
    lines += walk(path.c_str());
  }
  nmp::answer("{\"lines\":" + std::to_string(lines) + "}\n");
  return 0;
}
)";

constexpr std::string_view kScaffoldReadme = R"(# A filter

    nmp filter build .            # -> {0}.wasm in the current folder
    nmp filter run {0}.wasm --data /some/folder
    nmp run CAPABILITY {0}.wasm

What a filter may call is in nmp.h; everything else is the C and C++ standard library on WASI preview 1.
)";

bool write(const std::filesystem::path& file, std::string_view text) {
  std::ofstream stream(file, std::ios::binary);
  stream << text;
  stream.close();
  return !stream.fail();
}

/// A folder that is removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "nmp-filter-XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr) path_ = name;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code error;
    if (!path_.empty()) std::filesystem::remove_all(path_, error);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// What to build: the sources of one language.
struct Sources {
  enum class Language { none, mixed, c, cpp, go, rust } language = Language::none;
  std::vector<std::filesystem::path> files;
};

Sources::Language language_of(const std::filesystem::path& file) {
  const auto extension = file.extension();
  if (extension == ".c") return Sources::Language::c;
  if (extension == ".cpp" || extension == ".cc" || extension == ".cxx") return Sources::Language::cpp;
  if (extension == ".go") return Sources::Language::go;
  if (extension == ".rs") return Sources::Language::rust;
  return Sources::Language::none;
}

Sources sources_of(const std::filesystem::path& source) {
  Sources sources;
  std::error_code error;
  if (!std::filesystem::is_directory(source, error)) return {language_of(source), {source}};
  for (std::filesystem::directory_iterator at(source, error), end; !error && at != end; at.increment(error)) {
    const auto language = language_of(at->path());
    if (language == Sources::Language::none) continue;
    sources.files.push_back(at->path());
    if (sources.language == Sources::Language::none) sources.language = language;
    if (sources.language != language) sources.language = Sources::Language::mixed;
  }
  std::ranges::sort(sources.files);
  return sources;
}

/// The compiler's command line. Errors: not_found with what to install; unsupported.
Result<ProcessOptions> compiler_of(const Sources& sources,
                                   const std::filesystem::path& source,
                                   const std::filesystem::path& headers,
                                   const std::filesystem::path& target) {
  ProcessOptions process;
  auto& arguments = process.arguments;
  switch (sources.language) {
    case Sources::Language::c:
    case Sources::Language::cpp: {
      const bool cpp = sources.language == Sources::Language::cpp;
      auto clang = find_program(cpp ? std::vector<std::string>{"clang++-19", "clang++"}
                                    : std::vector<std::string>{"clang-19", "clang"});
      if (clang.empty())
        return fail(Errc::not_found,
                    "no clang: install clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32 libc++-19-dev-wasm32 "
                    "libc++abi-19-dev-wasm32");
      arguments = {clang,     "--target=wasm32-wasi",  "-O2", "-s",           "-Wall",
                   "-Wextra", "-I" + headers.string(), "-o",  target.string()};
      if (cpp) arguments.insert(arguments.end(), {"-std=c++20", "-fno-exceptions"});
      for (const auto& file : sources.files) arguments.push_back(std::filesystem::absolute(file).string());
      return process;
    }
    case Sources::Language::go: {
      auto go = find_program({"go"});
      if (go.empty()) return fail(Errc::not_found, "no Go: install golang-go, 1.21 or newer");
      process.environment = {"GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0"};
      arguments = {go, "build", "-trimpath", "-ldflags=-s -w", "-o", target.string()};
      if (std::filesystem::exists(source / "go.mod")) {
        process.folder = source;
        arguments.push_back(".");
      } else {
        for (const auto& file : sources.files) arguments.push_back(std::filesystem::absolute(file).string());
      }
      return process;
    }
    case Sources::Language::rust: {
      if (sources.files.size() != 1)
        return fail(Errc::unsupported, "Rust: one source file; build a crate with cargo, for target wasm32-wasi");
      auto rustc = find_program({"/usr/bin/rustc"});
      auto linker = find_program({"wasm-ld-19", "wasm-ld"});
      if (rustc.empty() || linker.empty() || !std::filesystem::exists("/usr/lib/rustlib/wasm32-wasi"))
        return fail(Errc::not_found, "no Rust for wasm32-wasi: install rustc libstd-rust-dev-wasm32 lld-19");
      arguments = {rustc,
                   "--edition",
                   "2021",
                   "--target",
                   "wasm32-wasi",
                   "-C",
                   "opt-level=2",
                   "-C",
                   "strip=symbols",
                   "-C",
                   "panic=abort",
                   "-C",
                   "linker=" + linker,
                   "-C",
                   "link-arg=--no-fatal-warnings",
                   "-o",
                   target.string(),
                   std::filesystem::absolute(sources.files[0]).string()};
      return process;
    }
    case Sources::Language::mixed: return fail(Errc::unsupported, "the folder holds sources of several languages");
    case Sources::Language::none: break;
  }
  return fail(Errc::unsupported, "no .c, .cpp, .go or .rs source: " + source.string());
}

std::string name_of(const std::filesystem::path& source) {
  auto path = std::filesystem::absolute(source).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  return path.stem().string();
}

}  // namespace

int run_filter_new(const FilterNewOptions& options, Output& output) {
  const auto& folder = options.folder;
  const auto name = name_of(folder);
  std::error_code error;
  if (std::filesystem::exists(folder, error))
    return output.failure(kUsage, "already_exists", folder.string() + " is already there");
  std::filesystem::create_directories(folder, error);
  const bool made = !error && write(folder / (name + ".cpp"), kScaffold) && write(folder / "nmp.h", nmp_h()) &&
                    write(folder / "nmp.hpp", nmp_hpp()) &&
                    write(folder / "README.md", fmt::format(fmt::runtime(kScaffoldReadme), name));
  if (!made) return output.failure(kUsage, "io", "cannot write to " + folder.string());
  output.object({{"event", "created"}, {"folder", folder.string()}});
  output.line(fmt::format("{0} is made. Next:\n  nmp filter build {0}\n  nmp filter run {1}.wasm --data SOME_FOLDER",
                          folder.string(), name));
  return kDone;
}

int run_filter_build(const FilterBuildOptions& options, Output& output) {
  std::error_code error;
  if (!std::filesystem::exists(options.source, error))
    return output.failure(kUsage, "file", "no such file or folder: " + options.source.string());
  TemporaryFolder scratch;
  if (scratch.path().empty() || !write(scratch.path() / "nmp.h", nmp_h()) ||
      !write(scratch.path() / "nmp.hpp", nmp_hpp()))
    return output.failure(kUsage, "io", "cannot write to the folder for temporary files");
  const auto part = scratch.path() / "filter.wasm";
  auto process = compiler_of(sources_of(options.source), options.source, scratch.path(), part);
  if (!process) return output.failure(kUsage, "compiler", process.error().context);
  auto code = run_process(*process);
  if (!code) return output.failure(kUsage, "compiler", code.error().message());
  if (*code != 0)
    return output.failure(kFilterFailed, "compile", fmt::format("{} ended with code {}", process->arguments[0], *code));
  const auto target = options.output.value_or(name_of(options.source) + ".wasm");
  std::filesystem::copy_file(part, target, std::filesystem::copy_options::overwrite_existing, error);
  if (error) return output.failure(kUsage, "io", fmt::format("cannot write {}: {}", target.string(), error.message()));
  output.object({{"event", "built"}, {"file", target.string()}});
  return run_filter_check({.common = options.common, .filter = target, .inspect = false}, output);
}

}  // namespace nmp::cli
