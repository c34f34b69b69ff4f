// The inverse of a symmetric positive definite matrix in place, with solutions and determinant.
//
// It is the Cholesky factorization of [A I; I 0], of which only what is not known beforehand is
// kept, in the lower triangle of A: before step k, pivots below k are eliminated and their rows
// hold the columns of -L^-T that are done and -K^-1 as far as it is summed. A step takes kPanel
// pivots: with their Cholesky factor D, panel = D^-1 (rows of the block, which for the block itself
// is the identity), and everything else loses panel^T panel. n^3 operations, nearly all of them in
// `update`. Right-hand sides are further rows. Same arithmetic, and so same stability, as
// Cholesky, triangular inverse and their product.
#pragma once

#include "lanes.h"
#include "tile.h"

namespace gpbo {
namespace GPBO_ISA {

#if defined(__AVX512F__)
constexpr int kUpdateRows = 8;
#else
constexpr int kUpdateRows = 4;
#endif

// The Cholesky factor of the block of pivots from k: u[c][b] is L[b][c], but the inverse of L[b][b]
// on the diagonal, where it is only ever divided by.
template <typename T>
inline bool factorize(const System<T>& s, int64_t k, T (*u)[kPanel]) {
  for (int i = 0; i < kPanel; ++i)
    for (int j = 0; j <= i; ++j) u[j][i] = s.matrix[(k + i) * s.stride + k + j];
  for (int j = 0; j < kPanel; ++j) {
    const T pivot = u[j][j];
    if (!(pivot > T(0)) || pivot > std::numeric_limits<T>::max()) return false;
    const T diagonal = sizeof(T) == 8 ? T(__builtin_sqrt(pivot)) : T(__builtin_sqrtf(pivot));
    if (k + j < s.n)
      *s.half_log += sizeof(T) == 8 ? T(__builtin_log(diagonal)) : T(__builtin_logf(diagonal));
    const T inverse = T(1) / diagonal;
    for (int i = j; i < kPanel; ++i) u[j][i] *= inverse;
    u[j][j] = inverse;
    for (int i = j + 1; i < kPanel; ++i)
      for (int q = i; q < kPanel; ++q) u[i][q] -= u[j][i] * u[j][q];
  }
  return true;
}

// rows [i, i + R) x columns [j, j + C registers) of the matrix lose panel^T panel.
template <int R, int C, typename T>
GPBO_HD void update_part(const System<T>& s, int64_t i, int64_t j) {
  constexpr int W = kWidth<T>;
  Vec<T> sum[R][C] = {};
  const T* panel = s.panel;
  for (int b = 0; b < kPanel; ++b, panel += s.stride) {
    Vec<T> right[C];
    for (int c = 0; c < C; ++c) right[c] = load(panel + j + c * W);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Vec<T> left = same(panel[i + r]);
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) sum[r][c] = fma(left, right[c], sum[r][c]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) {
      T* p = s.matrix + (i + r) * s.stride + j + c * W;
      store(p, load(p) - sum[r][c]);
    }
}

template <typename T>
inline void update(const System<T>& s) {
  constexpr int W = kWidth<T>;
  constexpr int kColumns = kPanel >= 2 * W ? 2 * W : W;
  for (int64_t i = 0; i < s.stride; i += kUpdateRows)
    for (int64_t j = 0; j <= i + kUpdateRows - 1 && j < s.stride; j += kColumns)
      update_part<kUpdateRows, kColumns / W>(s, i, j);
}

template <typename T>
inline void update_sides(const System<T>& s, int64_t k, const T (*u)[kPanel]) {
  T white[kSides][kPanel];
  for (int64_t q = 0; q < s.count; ++q) {
    T* side = s.sides + q * s.stride;
    for (int b = 0; b < kPanel; ++b) {
      T sum = side[k + b];
      for (int c = 0; c < b; ++c) sum -= u[c][b] * white[q][c];
      white[q][b] = sum * u[b][b];
      side[k + b] = T(0);
    }
    for (int64_t j = 0; j < s.stride; j += kWidth<T>) {
      Vec<T> sum = load(side + j);
      for (int b = 0; b < kPanel; ++b)
        sum = fma(same(-white[q][b]), load(s.panel + b * s.stride + j), sum);
      store(side + j, sum);
    }
    for (int64_t p = 0; p <= q; ++p)
      for (int b = 0; b < kPanel; ++b) s.products[q * s.count + p] += white[q][b] * white[p][b];
  }
}

// Takes the block's row and column out of the matrix, divided by its factor.
template <typename T>
inline void fill_panel(const System<T>& s, int64_t k, const T (*u)[kPanel]) {
  constexpr int W = kWidth<T>;
  for (int b = 0; b < kPanel; ++b) {
    T* out = s.panel + b * s.stride;
    T* row = s.matrix + (k + b) * s.stride;
    for (int64_t j = 0; j < k; j += W) {  // k is a multiple of the panel and that of a register
      store(out + j, load(row + j));
      store(row + j, Vec<T>{});
    }
    for (int c = 0; c < kPanel; ++c) out[k + c] = b == c ? T(1) : T(0), row[k + c] = T(0);
  }
  for (int64_t i = k + kPanel; i < s.stride; ++i) {
    T* column = s.matrix + i * s.stride + k;
    for (int b = 0; b < kPanel; ++b) {
      s.panel[b * s.stride + i] = column[b];
      column[b] = T(0);
    }
  }
  for (int64_t j = 0; j < s.stride; j += W) {
    Vec<T> done[kPanel];
    for (int b = 0; b < kPanel; ++b) done[b] = load(s.panel + b * s.stride + j);
#pragma GCC unroll 16
    for (int b = 0; b < kPanel; ++b) {
      done[b] = done[b] * same(u[b][b]);
      store(s.panel + b * s.stride + j, done[b]);
#pragma GCC unroll 16
      for (int c = b + 1; c < kPanel; ++c) done[c] = fma(same(-u[b][c]), done[b], done[c]);
    }
  }
}

template <typename T>
bool invert(const System<T>& s) {
  T u[kPanel][kPanel];
  for (int64_t q = 0; q < s.count * s.count; ++q) s.products[q] = T(0);
  *s.half_log = T(0);
  for (int64_t k = 0; k < s.n; k += kPanel) {
    if (!factorize(s, k, u)) return false;
    fill_panel(s, k, u);
    update_sides(s, k, u);
    update(s);
  }
  return true;
}

}  // namespace GPBO_ISA
}  // namespace gpbo
