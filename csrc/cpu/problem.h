// The pairs of a call with their types known, and their points in blocks as the loops want them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

#include "../pairs.h"
#include "../scalar.h"
#include "tile.h"

namespace gpbo {

// Numbers without a value yet, on the address that a register wants. Get nothing: data() is NULL.
template <typename T>
class Scratch {
 public:
  bool allocate(int64_t count) {
    memory_.reset(new (std::nothrow) unsigned char[count * sizeof(T) + kAlign]);
    const auto address = reinterpret_cast<uintptr_t>(memory_.get());
    data_ = reinterpret_cast<T*>((address + kAlign - 1) / kAlign * kAlign);
    return memory_ != nullptr;
  }
  T* data() const { return data_; }

 private:
  static constexpr uintptr_t kAlign = 64;
  std::unique_ptr<unsigned char[]> memory_;
  T* data_ = nullptr;
};

template <typename T>
struct Points {
  const T* data;
  int64_t count, batch, row, column;

  int64_t blocks() const { return (count + kBlock - 1) / kBlock; }
  int at(int64_t block) const {  // how many points a block has
    return static_cast<int>(std::min<int64_t>(kBlock, count - block * kBlock));
  }
};

template <typename T>
struct Problem {
  int64_t batch, d;
  Points<T> x1, x2;
  const T* lengthscale;
  int64_t lengthscale_batch, lengthscale_column;
  const T* shape;
  int64_t shape_batch;
  bool symmetric;

  explicit Problem(const gpbo_pairs& p)
      : batch(p.batch),
        d(p.d),
        x1{static_cast<const T*>(p.x1), p.n, p.x1_batch, p.x1_row, p.x1_column},
        x2{static_cast<const T*>(p.x2), p.m, p.x2_batch, p.x2_row, p.x2_column},
        lengthscale(static_cast<const T*>(p.lengthscale)),
        lengthscale_batch(p.lengthscale_batch),
        lengthscale_column(p.lengthscale_column),
        shape(static_cast<const T*>(p.shape)),
        shape_batch(p.shape_batch),
        symmetric(p.symmetric != 0) {
    if (symmetric) x2 = x1;
  }

  T shape_of(int64_t b) const { return shape ? shape[b * shape_batch] : T(1); }
  T length(int64_t b, int64_t k) const {
    return positive(lengthscale[b * lengthscale_batch + k * lengthscale_column]);
  }

  // GPBO_OK where every lengthscale and shape is a number above 0.
  int check() const {
    for (int64_t b = 0; b < (lengthscale_batch ? batch : std::min<int64_t>(batch, 1)); ++b)
      for (int64_t k = 0; k < d; ++k)
        if (!(lengthscale[b * lengthscale_batch + k * lengthscale_column] > T(0)))
          return GPBO_BAD_LENGTHSCALE;
    for (int64_t b = 0; shape && b < (shape_batch ? batch : std::min<int64_t>(batch, 1)); ++b)
      if (!(shape_of(b) > T(0))) return GPBO_BAD_SHAPE;
    return GPBO_OK;
  }
};

// The numbers of tile rows x columns that a tile of `rows` and `columns` is stored in.
inline int padded(int columns, int width) { return (columns + width - 1) / width * width; }

// The points of one matrix, scaled and in blocks. Distances do not change when one point is taken
// off everywhere, and digits are kept; where the first is broken, 0 is taken off.
template <typename T>
class Blocks {
 public:
  explicit Blocks(const Problem<T>& problem) : problem_(problem) {}

  static int64_t size(const Problem<T>& p) {
    return (2 + kBlock * (p.x1.blocks() + (p.symmetric ? 0 : p.x2.blocks()))) * p.d;
  }

  void start(int64_t batch, T* scratch) {
    const int64_t d = problem_.d;
    origin_ = scratch;
    inverse_ = origin_ + d;
    first_ = inverse_ + d;
    second_ = problem_.symmetric ? first_ : first_ + kBlock * problem_.x1.blocks() * d;
    const T* first = problem_.x1.data + batch * problem_.x1.batch;
    for (int64_t k = 0; k < d; ++k) {
      inverse_[k] = T(1) / problem_.length(batch, k);
      const T origin = problem_.x1.count > 0 ? first[k * problem_.x1.column] : T(0);
      origin_[k] = std::isfinite(origin) ? origin : T(0);
    }
    fill(problem_.x1, batch, first_);
    if (!problem_.symmetric) fill(problem_.x2, batch, second_);
  }

  const T* first(int64_t block) const { return first_ + block * kBlock * problem_.d; }
  const T* second(int64_t block) const { return second_ + block * kBlock * problem_.d; }
  T inverse(int64_t k) const { return inverse_[k]; }

 private:
  void fill(const Points<T>& points, int64_t batch, T* out) const {
    const int64_t d = problem_.d;
    for (int64_t c = 0; c < points.blocks(); ++c, out += kBlock * d) {
      const int count = points.at(c);
      const T* x = points.data + batch * points.batch + c * kBlock * points.row;
      if (count < kBlock) std::fill_n(out, kBlock * d, T(0));
      for (int64_t k = 0; k < d; ++k) {
        const T origin = origin_[k], inverse = inverse_[k];
        for (int i = 0; i < count; ++i)
          out[k * kBlock + i] = (x[i * points.row + k * points.column] - origin) * inverse;
      }
    }
  }

  const Problem<T>& problem_;
  T *origin_, *inverse_, *first_, *second_;
};

}  // namespace gpbo
