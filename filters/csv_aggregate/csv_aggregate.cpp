/// Groups the rows of a CSV file and aggregates columns; the rows themselves never leave.
///
///   --file X.csv             a file of any dataset, with a header line
///   --by A[,B..]             group by these columns (default: one group of all rows)
///   --mean C[,D..]           count, mean, min and max of these columns
///   --quantiles C:0.5,0.9    also quantiles, by a t-digest: bounded memory, approximate (see support/tdigest.hpp)
///   --min-count N            leaves out groups of fewer rows, and says how many (default 1)
///
/// Evidence:
/// {"file","rows","skipped","groups":[{A:..,"count":n,C:{"count","mean","min","max","quantiles":{"0.5":..}}}]}. The
/// file is read once as a stream; memory grows with the number of groups (at most 10,000) only.
#include <limits>
#include <map>

#include "nmp.hpp"
#include "support/csv.hpp"
#include "support/files.hpp"
#include "support/json.hpp"
#include "support/tdigest.hpp"

namespace {

constexpr std::size_t kGroupsMax = 10'000;

struct Column {
  std::string name;
  std::vector<std::string> quantiles;  // as written: they are keys of the answer
  std::size_t index = 0;
};

struct Tally {
  std::uint64_t count = 0;
  double mean = 0;
  double least = std::numeric_limits<double>::infinity();
  double most = -std::numeric_limits<double>::infinity();
  TDigest digest;
};

struct Group {
  std::uint64_t count = 0;
  std::vector<Tally> tallies;
};

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts;
  csv::Splitter splitter;
  for (auto part : splitter.split(text)) {
    if (!part.empty()) parts.emplace_back(part);
  }
  return parts;
}

int fail(const std::string& what) {
  std::fprintf(stderr, "csv_aggregate: %s\n", what.c_str());
  return 2;
}

Column& column_of(std::vector<Column>& columns, const std::string& name) {
  for (auto& column : columns) {
    if (column.name == name) return column;
  }
  return columns.emplace_back(Column{name, {}, 0});
}

void add(Tally& tally, double value, bool quantiles) {
  ++tally.count;
  tally.mean += (value - tally.mean) / static_cast<double>(tally.count);
  tally.least = std::min(tally.least, value);
  tally.most = std::max(tally.most, value);
  if (quantiles) tally.digest.add(value);
}

std::string answer_of(Tally& tally, const Column& column) {
  std::string out = "{\"count\":" + json::number(tally.count);
  if (tally.count > 0)
    out += ",\"mean\":" + json::number(tally.mean) + ",\"min\":" + json::number(tally.least) +
           ",\"max\":" + json::number(tally.most);
  if (!column.quantiles.empty() && tally.count > 0) {
    out += ",\"quantiles\":{";
    for (std::size_t i = 0; i < column.quantiles.size(); ++i)
      out += (i == 0 ? "" : ",") + json::text(column.quantiles[i]) + ":" +
             json::number(tally.digest.quantile(*csv::number(column.quantiles[i])));
    out += "}";
  }
  return out + "}";
}

}  // namespace

int main(int argc, char** argv) {
  std::string file;
  std::vector<std::string> by;
  std::vector<Column> columns;
  std::uint64_t min_count = 1;
  for (int i = 1; i < argc; i += 2) {
    const std::string_view name = argv[i];
    if (i + 1 == argc) return fail("option without its value: " + std::string(name));
    const std::string value = argv[i + 1];
    if (name == "--file") {
      file = value;
    } else if (name == "--by") {
      by = split(value);
    } else if (name == "--mean") {
      for (const auto& column : split(value)) column_of(columns, column);
    } else if (name == "--quantiles") {
      const auto colon = value.rfind(':');
      if (colon == std::string::npos) return fail("--quantiles takes COLUMN:Q[,Q..]");
      auto quantiles = split(std::string_view(value).substr(colon + 1));
      for (const auto& q : quantiles) {
        const auto number = csv::number(q);
        if (!number || *number < 0 || *number > 1) return fail("a quantile is a number from 0 to 1, not " + q);
      }
      column_of(columns, value.substr(0, colon)).quantiles = std::move(quantiles);
    } else if (name == "--min-count") {
      const auto number = csv::number(value);
      if (!number || *number < 1 || *number > 1e15) return fail("--min-count takes a number from 1");
      min_count = static_cast<std::uint64_t>(*number);
    } else {
      return fail("unknown option: " + std::string(name));
    }
  }
  if (file.empty()) return fail("--file is required");
  const std::string path = files::find(file);
  if (path.empty()) return fail("no such file in the datasets: " + file);

  files::Lines reader(path);
  csv::Splitter splitter;
  std::string_view line;
  if (!reader.opened() || !reader.next(line)) return fail("cannot read a header line from " + path);
  if (line.starts_with("\xef\xbb\xbf")) line.remove_prefix(3);
  std::map<std::string, std::size_t, std::less<>> header;
  for (auto name : splitter.split(line)) header.emplace(name, header.size());
  auto index_of = [&](const std::string& name, std::size_t& index) {
    const auto found = header.find(name);
    if (found == header.end()) return false;
    index = found->second;
    return true;
  };
  std::vector<std::size_t> keys(by.size());
  for (std::size_t i = 0; i < by.size(); ++i) {
    if (!index_of(by[i], keys[i])) return fail("no such column: " + by[i]);
  }
  for (auto& column : columns) {
    if (!index_of(column.name, column.index)) return fail("no such column: " + column.name);
  }
  const std::size_t fields_least = header.size();

  std::map<std::string, Group, std::less<>> groups;
  std::uint64_t rows = 0;
  std::uint64_t skipped = 0;
  std::string key;
  while (reader.next(line)) {
    if (line.empty()) continue;
    const auto& fields = splitter.split(line);
    if (fields.size() < fields_least) {
      ++skipped;
      continue;
    }
    ++rows;
    key.clear();
    for (std::size_t k : keys) {
      key += fields[k];
      key += '\0';
    }
    auto found = groups.find(key);
    if (found == groups.end()) {
      if (groups.size() == kGroupsMax) return fail("more than 10000 groups: group by a column with fewer values");
      found = groups.emplace(key, Group{0, std::vector<Tally>(columns.size())}).first;
    }
    Group& group = found->second;
    ++group.count;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      if (const auto value = csv::number(fields[columns[i].index]))
        add(group.tallies[i], *value, !columns[i].quantiles.empty());
    }
  }

  std::uint64_t left_out = 0;
  std::string out = "{\"file\":" + json::text(file) + ",\"rows\":" + json::number(rows) +
                    ",\"skipped\":" + json::number(skipped) + ",\"groups\":[";
  bool first = true;
  for (auto& [values, group] : groups) {
    if (group.count < min_count) {
      ++left_out;
      continue;
    }
    out += first ? "{" : ",{";
    first = false;
    std::string_view rest = values;
    for (const auto& name : by) {
      const auto end = rest.find('\0');
      out += json::text(name) + ":" + json::text(rest.substr(0, end)) + ",";
      rest.remove_prefix(end + 1);
    }
    out += "\"count\":" + json::number(group.count);
    for (std::size_t i = 0; i < columns.size(); ++i)
      out += "," + json::text(columns[i].name) + ":" + answer_of(group.tallies[i], columns[i]);
    out += "}";
    nmp::answer(out);
    out.clear();
  }
  nmp::answer(out + "],\"left_out\":" + json::number(left_out) + "}\n");
  return 0;
}
