// Products of a matrix with a tile, for few columns: what is left of a model when candidates come.
#pragma once

#include "lanes.h"

namespace gpbo {
namespace GPBO_ISA {

template <int R, int C, typename T>
GPBO_HD void multiply_part(const T* a, int64_t across, int64_t depth, const T* b, int stride,
                           T* out) {
  constexpr int W = kWidth<T>;
  Vec<T> sum[R][C] = {};
  for (int64_t k = 0; k < depth; ++k, b += stride) {
    Vec<T> right[C];
    for (int c = 0; c < C; ++c) right[c] = load(b + c * W);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      const Vec<T> left = same(a[r * across + k]);
#pragma GCC unroll 3
      for (int c = 0; c < C; ++c) sum[r][c] = fma(left, right[c], sum[r][c]);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) store(out + r * stride + c * W, sum[r][c]);
}

template <int R, typename T>
void multiply_rows(const T* a, int64_t across, int64_t depth, const T* b, int stride, T* out) {
  constexpr int W = kWidth<T>;
  int c = 0;
  for (; c + 3 * W <= stride; c += 3 * W)
    multiply_part<R, 3>(a, across, depth, b + c, stride, out + c);
  if (c + 2 * W <= stride) {
    multiply_part<R, 2>(a, across, depth, b + c, stride, out + c);
    c += 2 * W;
  }
  if (c < stride) multiply_part<R, 1>(a, across, depth, b + c, stride, out + c);
}

template <typename T>
void multiply(const T* a, int64_t across, int64_t rows, int64_t depth, const T* b, int stride,
              T* out) {
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4)
    multiply_rows<4>(a + r * across, across, depth, b, stride, out + r * stride);
  for (; r < rows; ++r)
    multiply_rows<1>(a + r * across, across, depth, b, stride, out + r * stride);
}

template <int R, typename T>
void add_turned_rows(const T* a, int64_t across, int64_t depth, const T* b, int stride, T* out) {
  constexpr int W = kWidth<T>;
  for (int c = 0; c < stride; c += W) {
    Vec<T> right[R];
    for (int r = 0; r < R; ++r) right[r] = load(b + r * stride + c);
    for (int64_t k = 0; k < depth; ++k) {
      Vec<T> sum = load(out + k * stride + c);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) sum = fma(same(a[r * across + k]), right[r], sum);
      store(out + k * stride + c, sum);
    }
  }
}

template <typename T>
void add_turned(const T* a, int64_t across, int64_t rows, int64_t depth, const T* b, int stride,
                T* out) {
  int64_t r = 0;
  for (; r + 8 <= rows; r += 8)
    add_turned_rows<8>(a + r * across, across, depth, b + r * stride, stride, out);
  for (; r < rows; ++r)
    add_turned_rows<1>(a + r * across, across, depth, b + r * stride, stride, out);
}

}  // namespace GPBO_ISA
}  // namespace gpbo
