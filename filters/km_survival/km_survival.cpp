/// Counts for Kaplan-Meier curves by treatment arm. Sums of these counts over hospitals are the counts of all their
/// patients together, so the agent merges answers exactly (demo/survival.py); no row leaves.
///
///   --file actg175.csv  --time days  --event cens  --arm arms     the CSV file of any dataset, and its columns
///   (defaults)
///   --bucket 28                                                   width of a time bucket, in the unit of the time
///   column
///
/// Evidence: {"bucket","patients","skipped","arms":{ARM:{"patients","at_risk":[..],"events":[..]}}}: `at_risk` at a
/// bucket's start, `events` within it; who leaves without an event is at_risk[i] - events[i] - at_risk[i+1].
#include <map>

#include "nmp.hpp"
#include "support/csv.hpp"
#include "support/files.hpp"
#include "support/json.hpp"

namespace {

constexpr std::size_t kArmsMax = 64;
constexpr std::size_t kBucketsMax = 4096;

struct Arm {
  std::uint64_t patients = 0;
  std::vector<std::uint64_t> events;
  std::vector<std::uint64_t> left;  // with or without an event
};

int fail(const std::string& what) {
  std::fprintf(stderr, "km_survival: %s\n", what.c_str());
  return 2;
}

std::string list(const std::vector<std::uint64_t>& values) {
  std::string out = "[";
  for (std::size_t i = 0; i < values.size(); ++i) out += (i == 0 ? "" : ",") + json::number(values[i]);
  return out + "]";
}

}  // namespace

int main(int argc, char** argv) {
  std::map<std::string, std::string, std::less<>> options = {
      {"--file", "actg175.csv"}, {"--time", "days"}, {"--event", "cens"}, {"--arm", "arms"}, {"--bucket", "28"}};
  for (int i = 1; i < argc; i += 2) {
    const auto option = options.find(argv[i]);
    if (option == options.end() || i + 1 == argc)
      return fail("unknown option, or one without its value: " + std::string(argv[i]));
    option->second = argv[i + 1];
  }
  const auto bucket = csv::number(options["--bucket"]);
  if (!bucket || *bucket < 1 || *bucket > 1e6) return fail("--bucket takes a number from 1");
  const std::string path = files::find(options["--file"]);
  if (path.empty()) return fail("no such file in the datasets: " + options["--file"]);

  files::Lines reader(path);
  csv::Splitter splitter;
  std::string_view line;
  if (!reader.opened() || !reader.next(line)) return fail("cannot read a header line from " + path);
  std::map<std::string, std::size_t, std::less<>> header;
  for (auto name : splitter.split(line)) header.emplace(name, header.size());
  for (const char* option : {"--time", "--event", "--arm"}) {
    if (!header.contains(options[option])) return fail("no such column: " + options[option]);
  }
  const std::size_t time_at = header[options["--time"]];
  const std::size_t event_at = header[options["--event"]];
  const std::size_t arm_at = header[options["--arm"]];

  std::map<std::string, Arm, std::less<>> arms;
  std::uint64_t patients = 0;
  std::uint64_t skipped = 0;
  while (reader.next(line)) {
    if (line.empty()) continue;
    const auto& fields = splitter.split(line);
    const auto time = time_at < fields.size() ? csv::number(fields[time_at]) : std::nullopt;
    const auto event = event_at < fields.size() ? csv::number(fields[event_at]) : std::nullopt;
    if (!time || !event || *time < 0 || *time / *bucket >= kBucketsMax || arm_at >= fields.size()) {
      ++skipped;
      continue;
    }
    auto found = arms.find(fields[arm_at]);
    if (found == arms.end()) {
      if (arms.size() == kArmsMax) return fail("more than 64 arms: is --arm the right column?");
      found = arms.emplace(fields[arm_at], Arm{}).first;
    }
    Arm& arm = found->second;
    const auto at = static_cast<std::size_t>(*time / *bucket);
    if (at >= arm.left.size()) {
      arm.left.resize(at + 1);
      arm.events.resize(at + 1);
    }
    ++patients;
    ++arm.patients;
    ++arm.left[at];
    if (*event != 0) ++arm.events[at];
  }

  std::string out;
  for (const auto& [name, arm] : arms) {
    std::vector<std::uint64_t> at_risk;
    std::uint64_t here = arm.patients;
    for (auto left : arm.left) {
      at_risk.push_back(here);
      here -= left;
    }
    out += (out.empty() ? "" : ",") + json::text(name) + ":{\"patients\":" + json::number(arm.patients) +
           ",\"at_risk\":" + list(at_risk) + ",\"events\":" + list(arm.events) + "}";
  }
  nmp::answer("{\"bucket\":" + json::number(*bucket) + ",\"patients\":" + json::number(patients) +
              ",\"skipped\":" + json::number(skipped) + ",\"arms\":{" + out + "}}\n");
  return 0;
}
