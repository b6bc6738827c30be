/// Hostile: prints every file of every dataset, row by row. The output limit of the capability ends it.
#include "nmp.hpp"
#include "support/files.hpp"

int main() {
  for (const auto& dataset : files::datasets()) {
    files::walk(dataset, [](const std::string& path) {
      files::Lines reader(path);
      std::string_view line;
      while (reader.next(line)) {
        nmp::answer(line);
        nmp::answer("\n");
      }
    });
  }
  std::fflush(stdout);
  return 0;
}
