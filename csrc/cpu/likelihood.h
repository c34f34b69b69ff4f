// The log marginal likelihood of a Gaussian process with its gradient, on the CPU: matrix, inverse
// and contraction of one batch element without leaving the library. Batch elements are
// independent; each is computed by one thread.
#pragma once

#include <limits>

#include "problem.h"

namespace gpbo {

template <typename T>
struct LikelihoodJob {
  const Loops<T>& loops;
  Problem<T> problem;
  int kernel;
  const gpbo_likelihood& asked;

  int64_t stride() const { return (problem.x1.count + kPanel - 1) / kPanel * kPanel; }
};

template <typename T>
inline T& at(void* results, int64_t i) {
  return static_cast<T*>(results)[i];
}

// One batch element after another, in scratch that is allocated once.
template <typename T>
class Likelihood {
 public:
  explicit Likelihood(const LikelihoodJob<T>& job) : job_(job), blocks_(job.problem) {}

  bool allocate() {
    const int64_t tile = kPairs + kPadding, stride = job_.stride(), d = job_.problem.d;
    const int64_t system = stride * (stride + kGroup + kSides + 1);
    if (!scratch_.allocate(system + tile + d * kWidest + Blocks<T>::size(job_.problem)))
      return false;
    matrix_ = scratch_.data();
    panel_ = matrix_ + stride * stride;
    sides_ = panel_ + kGroup * stride;
    weights_ = sides_ + kSides * stride;
    weight_ = weights_ + stride;
    sums_ = weight_ + tile;
    points_ = sums_ + d * kWidest;
    return true;
  }

  void run(int64_t batch) {
    const gpbo_likelihood& asked = job_.asked;
    batch_ = batch;
    blocks_.start(batch, points_);
    scale_ = asked.outputscale
                 ? static_cast<const T*>(asked.outputscale)[batch * asked.outputscale_batch]
                 : T(1);
    bool done = false;
    T jitter = T(0);
    for (int64_t rung = 0; !done && rung < std::max<int64_t>(1, asked.jitter_count); ++rung) {
      jitter = asked.jitter_count ? scale_ * static_cast<T>(asked.jitters[rung]) : T(0);
      done = solve(jitter);
    }
    at<T>(asked.jitter, batch) = done ? jitter : std::numeric_limits<T>::quiet_NaN();
    done ? finish() : fail();
  }

 private:
  int64_t n() const { return job_.problem.x1.count; }

  T y(int64_t i) const {
    return static_cast<const T*>(job_.asked.y)[batch_ * job_.asked.y_batch + i * job_.asked.y_row];
  }

  T diagonal(int64_t i) const {
    const gpbo_likelihood& asked = job_.asked;
    if (!asked.diagonal) return T(0);
    return static_cast<const T*>(
        asked.diagonal)[batch_ * asked.diagonal_batch + i * asked.diagonal_row];
  }

  // Rows from i and columns from j of the matrix, in a tile of `wide` columns.
  struct Part {
    int64_t i, j;
    int rows, columns, wide;
  };

  // The lower triangle in parts; a tile on the diagonal is cut into strips that end there.
  template <typename Use>
  void each_part(Use&& use) const {
    const Problem<T>& p = job_.problem;
    const int width = job_.loops.width, strip = std::max(kStrip, width);
    for (int64_t r = 0; r < p.x1.blocks(); ++r) {
      const int rows = p.x1.at(r);
      for (int64_t c = 0; c < r; ++c)
        use(Part{r * kBlock, c * kBlock, rows, kBlock, padded(kBlock, width)});
      for (int s = 0; s < rows; s += strip) {
        const int end = std::min(s + strip, rows);
        use(Part{r * kBlock + s, r * kBlock, end - s, end, padded(end, width)});
      }
    }
  }

  const T* point(int64_t i) const { return blocks_.first(i / kBlock) + i % kBlock; }

  void fill_matrix(T jitter) {
    const Problem<T>& p = job_.problem;
    const int64_t stride = job_.stride();
    for (int64_t r = 0; r < p.x1.blocks(); ++r)
      for (int64_t c = 0; c <= r; ++c) {
        T* out = matrix_ + r * kBlock * stride + c * kBlock;
        const Tile<T> tile{blocks_.first(r),
                           blocks_.first(c),
                           p.x1.at(r),
                           p.x1.at(c),
                           p.d,
                           p.shape_of(batch_),
                           scale_,
                           r == c,
                           false,
                           out,
                           r == c ? out : nullptr,
                           stride};
        job_.loops.values[job_.kernel](tile);
      }
    for (int64_t i = 0; i < n(); ++i) {
      matrix_[i * stride + i] += diagonal(i) + jitter;
      std::fill(matrix_ + i * stride + n(), matrix_ + (i + 1) * stride, T(0));
    }
    for (int64_t i = n(); i < stride; ++i) {
      std::fill_n(matrix_ + i * stride, stride, T(0));
      matrix_[i * stride + i] = T(1);
    }
  }

  // With profile the sides are ones and y, else y alone. y is taken relative to a number near it,
  // so that a large mean costs no digits.
  bool solve(T jitter) {
    const bool profile = job_.asked.profile != 0;
    const int64_t stride = job_.stride();
    fill_matrix(jitter);
    std::fill_n(sides_, kSides * stride, T(0));
    near_ = T(0);
    if (profile) {
      for (int64_t i = 0; i < n(); ++i) near_ += y(i) / static_cast<T>(n());
      std::fill_n(sides_, n(), T(1));
    } else {
      near_ = at<T>(job_.asked.mean, batch_);
    }
    T* side = profile ? sides_ + stride : sides_;
    for (int64_t i = 0; i < n(); ++i) side[i] = y(i) - near_;
    const System<T> system{n(),    stride,     matrix_,  sides_, profile ? 2 : 1,
                           panel_, &half_log_, products_};
    return job_.loops.invert(system);
  }

  void finish() {
    const gpbo_likelihood& asked = job_.asked;
    const bool profile = asked.profile != 0;
    const int64_t stride = job_.stride();
    T shift = T(0), fit = products_[0];
    if (profile) {  // products: 1 K^-1 1, y K^-1 1, y K^-1 y
      shift = n() > 0 ? products_[2] / products_[0] : T(0);
      fit = n() > 0 ? products_[3] - shift * products_[2] : T(0);
      at<T>(asked.mean, batch_) = near_ + shift;
    }
    const T* side = profile ? sides_ + stride : sides_;
    T by_mean = T(0);
    for (int64_t i = 0; i < n(); ++i) {  // the sides became minus the solutions
      weights_[i] = profile ? shift * sides_[i] - side[i] : -side[i];
      by_mean += weights_[i];
    }
    const T constant = T(0.91893853320467274178) * static_cast<T>(n());  // log(2 pi) / 2 for each
    at<T>(asked.value, batch_) = T(-0.5) * fit - half_log_ - constant;
    if (asked.log_determinant) at<T>(asked.log_determinant, batch_) = T(2) * half_log_;
    if (asked.by_mean) at<T>(asked.by_mean, batch_) = by_mean;
    if (asked.weights) std::copy_n(weights_, n(), &at<T>(asked.weights, batch_ * n()));
    for (int64_t i = 0; asked.by_diagonal && i < n(); ++i)
      at<T>(asked.by_diagonal, batch_ * n() + i) =
          T(0.5) * (matrix_[i * stride + i] + weights_[i] * weights_[i]);
    if (asked.by_lengthscale || asked.by_outputscale || asked.by_shape) contract();
  }

  // d value / d theta = 1/2 sum((a a^T - K^-1) * dK/dtheta), over the lower triangle.
  void contract() {
    const Problem<T>& p = job_.problem;
    const gpbo_likelihood& asked = job_.asked;
    T total = T(0), by_shape = T(0);
    std::fill_n(sums_, p.d * kWidest, T(0));
    each_part([&](const Part& part) {
      read_weight(part);
      Contraction<T> tile{point(part.i), point(part.j),      part.rows, part.wide,
                          p.d,           p.shape_of(batch_), weight_};
      tile.total = &total;
      if (asked.by_shape) tile.by_shape = &by_shape;
      if (asked.by_lengthscale) tile.sums = sums_;
      job_.loops.contract[job_.kernel](tile);
    });
    if (asked.by_outputscale) at<T>(asked.by_outputscale, batch_) = total;
    if (asked.by_shape) at<T>(asked.by_shape, batch_) = scale_ * by_shape;
    for (int64_t k = 0; asked.by_lengthscale && k < p.d; ++k) {
      T sum = T(0);
      for (int i = 0; i < job_.loops.width; ++i) sum += sums_[k * job_.loops.width + i];
      at<T>(asked.by_lengthscale, batch_ * p.d + k) = T(-2) * scale_ * (sum / p.length(batch_, k));
    }
  }

  // Half the weight of every pair of a part of the lower triangle, of both its places: on the
  // diagonal a pair has one, and above it none is counted.
  void read_weight(const Part& part) {
    const auto [first, j0, rows, columns, wide] = part;
    std::fill_n(weight_, (rows + kStrip - 1) / kStrip * kStrip * wide, T(0));
    for (int i = 0; i < rows; ++i) {
      const T* row = matrix_ + (first + i) * job_.stride() + j0;
      const T mine = weights_[first + i];
      const T* others = weights_ + j0;
      const int64_t here = first + i - j0;  // where the diagonal is
      const int end = static_cast<int>(std::min<int64_t>(columns, here));
      T* out = weight_ + i * wide;
      for (int j = 0; j < end; ++j) out[j] = row[j] + mine * others[j];
      if (here < columns) out[here] = T(0.5) * (row[here] + mine * mine);
    }
  }

  void fail() {
    const gpbo_likelihood& asked = job_.asked;
    const T nan = std::numeric_limits<T>::quiet_NaN();
    at<T>(asked.value, batch_) = nan;
    const auto fill = [&](void* results, int64_t count) {
      if (results) std::fill_n(&at<T>(results, batch_ * count), count, nan);
    };
    if (asked.profile) fill(asked.mean, 1);
    for (void* one : {asked.by_outputscale, asked.by_shape, asked.by_mean, asked.log_determinant})
      fill(one, 1);
    fill(asked.by_lengthscale, job_.problem.d);
    fill(asked.by_diagonal, n());
    fill(asked.weights, n());
  }

  const LikelihoodJob<T>& job_;
  Blocks<T> blocks_;
  Scratch<T> scratch_;
  int64_t batch_ = 0;
  T scale_, near_, half_log_, products_[kSides * kSides];
  T *matrix_, *panel_, *sides_, *weights_, *weight_, *sums_, *points_;
};

}  // namespace gpbo
