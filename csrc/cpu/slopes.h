// Weights of a tile's pairs, contracted with the derivatives of their kernel values.
//
// As in values.h: with many registers in blocks of a few rows and registers, whose squared
// distances, values and slopes stay in registers; with few in passes over a tile. What points are
// apart is taken again for the sums over columns: kept in the first cache, the writes cost what
// they save.
#pragma once

#include <algorithm>

#include "distances.h"
#include "evaluate.h"
#include "functions.h"
#include "tile.h"

namespace gpbo {
namespace GPBO_ISA {

// sums[k][lane] += sum over the pairs of a block of w (a_k - b_k)^2.
template <int R, int C, typename T>
GPBO_HD void add_squares(const T* a, const T* b, int64_t d, const Vec<T>* w, T* sums) {
  constexpr int W = kWidth<T>, N = R * C;
  for (int64_t k = 0; k < d; ++k, a += kBlock, b += kBlock, sums += W) {
    Vec<T> sum[2] = {load(sums)};
#pragma GCC unroll 8
    for (int q = 0; q < N; ++q) {
      const Vec<T> x = load(b + q % C * W) - a[q / C];
      sum[q % 2] = fma(w[q] * x, x, sum[q % 2]);
    }
    store(sums, sum[0] + sum[1]);
  }
}

template <typename Kernel, int R, int C, typename T>
GPBO_HD void contract_block(const Contraction<T>& t, int r, int c, Vec<T>& total,
                            Vec<T>& by_shape) {
  constexpr int W = kWidth<T>, N = R * C;
  static_assert(N % kUnroll == 0, "whole Lanes");
  static_assert(kStrip % R == 0, "weights beyond the last row are 0");
  const T *a = t.a + r, *b = t.b + c;
  T* weight = t.weight + r * t.stride + c;
  Vec<T> r2[R][C], w[N], *all = &r2[0][0];
  distances_in(a, b, t.d, r2);
  for (int q = 0; q < N; ++q) w[q] = load(weight + q / C * t.stride + q % C * W);
  for (int g = 0; g < N; g += kUnroll) {
    Lanes<T> x, value, slope, shape;
    for (int u = 0; u < kUnroll; ++u) x.v[u] = all[g + u];
    Kernel::at(Kernel::argument(x, t.shape), t.shape, value, slope, shape);
    for (int u = 0; u < kUnroll; ++u) {
      total = fma(w[g + u], value.v[u], total);
      by_shape = fma(w[g + u], shape.v[u], by_shape);
      w[g + u] *= slope.v[u];
    }
  }
  if (t.weighted)
    for (int q = 0; q < N; ++q) store(weight + q / C * t.stride + q % C * W, w[q]);
  if (t.sums) add_squares<R, C>(a, b, t.d, w, t.sums);
}

// A few lines of what is needed next, with every block: asked for at once, they would fill all
// places for lines on their way.
template <typename T>
GPBO_HD void fetch_next(const Contraction<T>& t, int r, int c) {
  constexpr int kEach = std::max(1, kRows * kAcross<T> / kBlock), kLine = 64 / sizeof(T);
  const int first = r + c / kAcross<T> * kEach;
  for (int q = first; q < std::min(first + kEach, r + kRows); ++q)
    for (const T* square : t.next)
      for (int i = 0; square && i < kBlock; i += kLine) prefetch(square + q * t.across + i);
}

template <typename Kernel, typename T>
void contract_in_blocks(const Contraction<T>& t) {
  Vec<T> total{}, by_shape{};
  for (int r = 0; r < t.rows; r += kRows) {
    int c = 0;
    for (; c + kAcross<T> <= t.stride; c += kAcross<T>) {
      fetch_next(t, r, c);
      contract_block<Kernel, kRows, kRegisters>(t, r, c, total, by_shape);
    }
    if (c < t.stride) contract_block<Kernel, kRows, 1>(t, r, c, total, by_shape);
  }
  if (t.total) *t.total += sum_of<T>(total);
  if (t.by_shape) *t.by_shape += sum_of<T>(by_shape);
}

template <int R, int C, typename T>
GPBO_HD void add_squares_of(const Contraction<T>& t, int r, int c) {
  Vec<T> w[R * C];
  for (int q = 0; q < R * C; ++q)
    w[q] = load(t.weight + (r + q / C) * t.stride + c + q % C * kWidth<T>);
  add_squares<R, C>(t.a + r, t.b + c, t.d, w, t.sums);
}

// The weights become weight * slope in the pass that sums them with the values.
template <typename Kernel, typename T>
void contract_in_passes(const Contraction<T>& t) {
  constexpr int kCount = Lanes<T>::kCount;
  static_assert(kStrip * kWidth<T> % kCount == 0, "whole Lanes");
  alignas(64) T r2[kPairs + kPadding];
  const int rows = (t.rows + kStrip - 1) / kStrip * kStrip, count = rows * t.stride;
  distances(t.a, t.b, rows, t.stride, t.d, r2);
  Lanes<T> total(T(0)), by_shape(T(0));
  Lanes<T> now, next = argument_at<Kernel>(r2, 0, count, t.shape), value, slope, shape;
  for (int p = 0; p < count; p += kCount) {
    now = next;  // ahead, as in evaluate.h
    next = argument_at<Kernel>(r2, p + kCount, count, t.shape);
    Kernel::at(now, t.shape, value, slope, shape);
    const Lanes<T> w = load_lanes(t.weight + p);
    total = multiply_add(w, value, total);
    if (t.by_shape) by_shape = multiply_add(w, shape, by_shape);
    store_lanes(t.weight + p, w * slope);
  }
  if (t.total) *t.total += sum_of(total);
  if (t.by_shape) *t.by_shape += sum_of(by_shape);
  for (int r = 0; t.sums && r < t.rows; r += kRows) {
    int c = 0;
    for (; c + kAcross<T> <= t.stride; c += kAcross<T>) {
      fetch_next(t, r, c);
      add_squares_of<kRows, kRegisters>(t, r, c);
    }
    if (c < t.stride) add_squares_of<kRows, 1>(t, r, c);
  }
}

template <typename Kernel, typename T>
void contract(const Contraction<T>& t) {
  if constexpr (kManyRegisters)
    contract_in_blocks<Kernel>(t);
  else
    contract_in_passes<Kernel>(t);
}

}  // namespace GPBO_ISA
}  // namespace gpbo
