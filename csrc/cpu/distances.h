// Squared distances between the points of two blocks.
#pragma once

#include "lanes.h"
#include "tile.h"

namespace gpbo {
namespace GPBO_ISA {

// Rows of a block, and registers of a row: eight sums in flight, with few loads for each.
constexpr int kRows = kManyRegisters ? 8 : 4;
constexpr int kRegisters = 8 / kRows;

template <typename T>
constexpr int kAcross = kRegisters * kWidth<T>;

// r2 of R rows and C registers of columns; a pair's is summed column by column.
template <int R, int C, typename T>
GPBO_HD void distances_in(const T* a, const T* b, int64_t d, Vec<T> (&r2)[R][C]) {
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) r2[r][c] = Vec<T>{};
  for (int64_t k = 0; k < d; ++k, a += kBlock, b += kBlock) {
    Vec<T> right[C];
    for (int c = 0; c < C; ++c) right[c] = load(b + c * kWidth<T>);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) {
        const Vec<T> x = right[c] - a[r];
        r2[r][c] = fma(x, x, r2[r][c]);
      }
  }
}

template <int R, int C, typename T>
GPBO_HD void distances_of(const T* a, const T* b, int64_t d, int stride, T* out) {
  Vec<T> r2[R][C];
  distances_in(a, b, d, r2);
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) store(out + r * stride + c * kWidth<T>, r2[r][c]);
}

template <typename T>
void distances(const T* a, const T* b, int rows, int stride, int64_t d, T* r2) {
  constexpr int W = kWidth<T>;
  for (int r = 0; r < rows; r += 4) {
    int c = 0;
    for (; c + 2 * W <= stride; c += 2 * W)
      distances_of<4, 2>(a + r, b + c, d, stride, r2 + r * stride + c);
    if (c < stride) distances_of<4, 1>(a + r, b + c, d, stride, r2 + r * stride + c);
  }
}

}  // namespace GPBO_ISA
}  // namespace gpbo
