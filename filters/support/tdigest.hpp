/// Quantiles of a stream in bounded memory: the merging t-digest (Dunning and Ertl, "Computing extremely accurate
/// quantiles using t-digests", arXiv:1902.04023, algorithm 1, scale function k_1). Exact up to 2 * kCompression values
/// apart from the interpolation between neighbours; afterwards the error at quantile q is about q(1-q)/kCompression in
/// rank.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

class TDigest {
 public:
  void add(double value) {
    pending_.push_back({value, 1});
    count_ += 1;
    least_ = std::min(least_, value);
    most_ = std::max(most_, value);
    if (pending_.size() >= kPending) compress();
  }

  double quantile(double q) {
    compress();
    if (centroids_.empty()) return std::numeric_limits<double>::quiet_NaN();
    if (q <= 0) return least_;
    if (q >= 1) return most_;
    const double rank = q * count_;
    // A centroid stands for its weight around its mean; between two means the value is interpolated.
    double before = 0;
    for (std::size_t i = 0; i < centroids_.size(); ++i) {
      const double middle = before + centroids_[i].weight / 2;
      if (rank <= middle) {
        if (i == 0) return between(0, least_, middle, centroids_[0].mean, rank);
        const double previous = before - centroids_[i - 1].weight / 2;
        return between(previous, centroids_[i - 1].mean, middle, centroids_[i].mean, rank);
      }
      before += centroids_[i].weight;
    }
    return between(count_ - centroids_.back().weight / 2, centroids_.back().mean, count_, most_, rank);
  }

 private:
  static constexpr double kCompression = 200;
  static constexpr std::size_t kPending = 512;
  struct Centroid {
    double mean;
    double weight;
  };

  static double between(double x0, double y0, double x1, double y1, double x) {
    return x1 <= x0 ? y1 : y0 + (y1 - y0) * std::clamp((x - x0) / (x1 - x0), 0.0, 1.0);
  }
  static double k(double q) {
    return kCompression / (2 * 3.14159265358979323846) * std::asin(2 * std::clamp(q, 0.0, 1.0) - 1);
  }

  void compress() {
    if (pending_.empty()) return;
    pending_.insert(pending_.end(), centroids_.begin(), centroids_.end());
    std::sort(pending_.begin(), pending_.end(), [](const Centroid& a, const Centroid& b) { return a.mean < b.mean; });
    centroids_.clear();
    double before = 0;
    double start = k(0);
    Centroid current = pending_[0];
    for (std::size_t i = 1; i < pending_.size(); ++i) {
      const Centroid& next = pending_[i];
      if (k((before + current.weight + next.weight) / count_) - start <= 1) {
        current.mean += (next.mean - current.mean) * next.weight / (current.weight + next.weight);
        current.weight += next.weight;
      } else {
        before += current.weight;
        start = k(before / count_);
        centroids_.push_back(current);
        current = next;
      }
    }
    centroids_.push_back(current);
    pending_.clear();
  }

  double count_ = 0;
  double least_ = std::numeric_limits<double>::infinity();
  double most_ = -std::numeric_limits<double>::infinity();
  std::vector<Centroid> centroids_;
  std::vector<Centroid> pending_;
};
