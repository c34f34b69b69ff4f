// The inverse of a symmetric positive definite matrix in place, with solutions and determinant.
//
// It is the Cholesky factorization of [A I; I 0], of which only what is not known beforehand is
// kept, in the lower triangle of A: before step k, pivots below k are eliminated and their rows
// hold the columns of -L^-T that are done and -K^-1 as far as it is summed. A step takes a group of
// pivots: with their Cholesky factor D, panel = D^-1 (rows of the group, which for the group itself
// is the identity), and everything else loses panel^T panel. n^3 operations, nearly all of them in
// `update`. Right-hand sides are further rows. Same arithmetic, and so same stability, as
// Cholesky, triangular inverse and their product.
//
// A large matrix is read and written n / size times, so a group has kGroup pivots there; a small
// one stays in the cache, and the triangle costs less with kPanel of them.
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

constexpr int64_t kManyRows = 400;  // from here on a group has kGroup pivots: 31 ms for 40 at 1000
constexpr int64_t kChunk = 128;     // columns of the panel that a pass over the rows works on
constexpr int kSolved = 8;          // rows of the panel that are solved for at once

template <typename T>
constexpr int kColumns = kPanel >= 2 * kWidth<T> ? 2 * kWidth<T> : kWidth<T>;

// A group of pivots from k, the factor of its block, u[c][b] = L[b][c] but the inverse of L[b][b]
// on the diagonal, where it is only ever divided by; and its rows of the whole matrix, kColumns
// columns after the other, so that `update` reads them in order.
template <typename T>
struct Group {
  int64_t k;
  int size;
  T* panel;
  T u[kGroup][kGroup];

  T* at(int b, int64_t j) const {
    return panel + (j / kColumns<T> * size + b) * kColumns<T> + j % kColumns<T>;
  }
};

template <typename T>
inline bool factorize(const System<T>& s, Group<T>& g) {
  auto& u = g.u;
  for (int i = 0; i < g.size; ++i)
    for (int j = 0; j <= i; ++j) u[j][i] = s.matrix[(g.k + i) * s.stride + g.k + j];
  for (int j = 0; j < g.size; ++j) {
    const T pivot = u[j][j];
    if (!(pivot > T(0)) || pivot > std::numeric_limits<T>::max()) return false;
    const T diagonal = sizeof(T) == 8 ? T(__builtin_sqrt(pivot)) : T(__builtin_sqrtf(pivot));
    if (g.k + j < s.n)
      *s.half_log += sizeof(T) == 8 ? T(__builtin_log(diagonal)) : T(__builtin_logf(diagonal));
    const T inverse = T(1) / diagonal;
    for (int i = j; i < g.size; ++i) u[j][i] *= inverse;
    u[j][j] = inverse;
    for (int i = j + 1; i < g.size; ++i)
      for (int q = i; q < g.size; ++q) u[i][q] -= u[j][i] * u[j][q];
  }
  return true;
}

// rows [i, i + R) x columns [j, j + C registers) of the matrix lose panel^T panel.
template <int R, int C, typename T>
GPBO_HD void update_part(const System<T>& s, const Group<T>& g, int64_t i, int64_t j) {
  constexpr int W = kWidth<T>;
  Vec<T> sum[R][C] = {};
  const T *left = g.at(0, i), *right = g.at(0, j);
  for (int b = 0; b < g.size; ++b, left += kColumns<T>, right += kColumns<T>) {
    Vec<T> columns[C];
    for (int c = 0; c < C; ++c) columns[c] = load(right + c * W);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Vec<T> row = same(left[r]);
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) sum[r][c] = fma(row, columns[c], sum[r][c]);
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
inline void update(const System<T>& s, const Group<T>& g) {
  for (int64_t first = 0; first < s.stride; first += kChunk) {
    const int64_t end = std::min(first + kChunk, s.stride);
    for (int64_t i = first; i < s.stride; i += kUpdateRows)
      for (int64_t j = first; j < std::min(end, i + kUpdateRows); j += kColumns<T>)
        update_part<kUpdateRows, kColumns<T> / kWidth<T>>(s, g, i, j);
  }
}

template <typename T>
inline void update_sides(const System<T>& s, const Group<T>& g) {
  T white[kSides][kGroup];
  for (int64_t q = 0; q < s.count; ++q) {
    T* side = s.sides + q * s.stride;
    for (int b = 0; b < g.size; ++b) {
      T sum = side[g.k + b];
      for (int c = 0; c < b; ++c) sum -= g.u[c][b] * white[q][c];
      white[q][b] = sum * g.u[b][b];
      side[g.k + b] = T(0);
    }
    for (int64_t j = 0; j < s.stride; j += kWidth<T>) {
      Vec<T> sum = load(side + j);
      for (int b = 0; b < g.size; ++b) sum = fma(same(-white[q][b]), load(g.at(b, j)), sum);
      store(side + j, sum);
    }
    for (int64_t p = 0; p <= q; ++p)
      for (int b = 0; b < g.size; ++b) s.products[q * s.count + p] += white[q][b] * white[p][b];
  }
}

// Takes the group's rows and columns out of the matrix.
template <typename T>
inline void take_out(const System<T>& s, const Group<T>& g) {
  constexpr int W = kWidth<T>;
  const int64_t k = g.k, after = k + g.size;
  for (int b = 0; b < g.size; ++b) {
    T* row = s.matrix + (k + b) * s.stride;
    for (int64_t j = 0; j < k; j += W) {  // k is a multiple of the panel and that of a register
      store(g.at(b, j), load(row + j));
      store(row + j, Vec<T>{});
    }
    for (int c = 0; c < g.size; ++c) *g.at(b, k + c) = b == c ? T(1) : T(0), row[k + c] = T(0);
  }
  for (int64_t i = after; i < s.stride; ++i) {
    T* column = s.matrix + i * s.stride + k;
    T* out = g.at(0, i);
    for (int b = 0; b < g.size; ++b) {
      out[b * kColumns<T>] = column[b];
      column[b] = T(0);
    }
  }
}

// Divides the panel by the group's factor.
template <typename T>
inline void divide(const System<T>& s, const Group<T>& g) {
  for (int64_t j = 0; j < s.stride; j += kWidth<T>) {
    T* panel = g.at(0, j);
    const auto row = [panel](int b) { return panel + b * kColumns<T>; };
    for (int first = 0; first < g.size; first += kSolved) {
      Vec<T> done[kSolved];
      for (int b = 0; b < kSolved; ++b) done[b] = load(row(first + b));
      for (int c = 0; c < first; ++c) {
        const Vec<T> before = load(row(c));
        const T* u = g.u[c] + first;
#pragma GCC unroll 8
        for (int b = 0; b < kSolved; ++b) done[b] = fma(same(-u[b]), before, done[b]);
      }
#pragma GCC unroll 8
      for (int b = 0; b < kSolved; ++b) {
        const T* u = g.u[first + b] + first;
        done[b] = done[b] * same(u[b]);
        store(row(first + b), done[b]);
#pragma GCC unroll 8
        for (int c = b + 1; c < kSolved; ++c) done[c] = fma(same(-u[c]), done[b], done[c]);
      }
    }
  }
}

template <typename T>
bool invert(const System<T>& s) {
  Group<T> g;
  g.panel = s.panel;
  const int64_t most = s.n >= kManyRows ? kGroup : kPanel;
  for (int64_t q = 0; q < s.count * s.count; ++q) s.products[q] = T(0);
  *s.half_log = T(0);
  for (g.k = 0; g.k < s.n; g.k += g.size) {
    g.size = static_cast<int>(std::min(most, s.stride - g.k));
    if (!factorize(s, g)) return false;
    take_out(s, g);
    divide(s, g);
    update_sides(s, g);
    update(s, g);
  }
  return true;
}

}  // namespace GPBO_ISA
}  // namespace gpbo
