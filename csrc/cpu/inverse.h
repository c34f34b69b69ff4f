// The inverse of a symmetric positive definite matrix in place, with solutions and determinant.
//
// It is the Cholesky factorization of [A I; I 0], of which only what is not known beforehand is
// kept, in the lower triangle of A: before step k, pivots below k are eliminated and their rows
// hold the columns of -L^-T that are done and -K^-1 as far as it is summed. A step takes some
// pivots: with their Cholesky factor D, panel = D^-1 (their rows, which for themselves are the
// identity), and everything else loses panel^T panel. n^3 operations, nearly all of them in
// `update`. Right-hand sides are further rows. Same arithmetic, and so same stability, as
// Cholesky, triangular inverse and their product.
//
// Steps come in groups: within a group a step changes only what the group's next steps read, all
// else follows at the end for the whole group. So a matrix is read and written once for every
// group. A small one stays in the caches, and there a group is a step or two.
#pragma once

#include "lanes.h"
#include "put.h"
#include "tile.h"

namespace gpbo {
namespace GPBO_ISA {

// With AVX-512 groups of 128 pivots, not 32, save 8 % of a likelihood of 1000 points and 22 % of
// one of 3000. With the smaller blocks of AVX2 steps of 32 pivots take 1.8 times as long to divide;
// groups of 32, not 16, save 3 % of an inverse of 200 points and 14 % of one of 1000, where 64 save
// another 3 %.
GPBO_HD int step_of(int64_t n) { return kManyRegisters && n >= 400 ? kStep : kPanel; }
GPBO_HD int64_t group_of(int64_t n) {
  if (kManyRegisters) return n < 400 ? kPanel : kGroup;
  return n < 64 ? kPanel : n < 800 ? 2 * kPanel : 4 * kPanel;
}

constexpr int kUpdateRows = kManyRegisters ? 8 : 4;
constexpr int64_t kChunk = 128;  // columns of the panel that a pass over the rows works on
constexpr int kSolved = 8;       // rows of the panel that are solved for at once

template <typename T>
constexpr int kColumns = GPBO_BYTES == 32 || kPanel < 2 * kWidth<T> ? kWidth<T> : 2 * kWidth<T>;
// And the registers of a row that are updated at once.
template <typename T>
constexpr int kUpdateRegisters = GPBO_BYTES == 32 ? 3 : kColumns<T> / kWidth<T>;

// The rows of a group's pivots in the whole matrix, from the first pivot on: kColumns columns after
// the other, so that `update` reads them in order.
template <typename T>
struct Panel {
  int64_t first, rows;
  T* data;

  T* at(int64_t b, int64_t j) const {
    return data + (j / kColumns<T> * rows + b) * kColumns<T> + j % kColumns<T>;
  }
};

// A step's pivots from k on and the factor of their block as it is used: u[c][b] = -L[b][c], which
// is only ever added, but the inverse of L[b][b] on the diagonal, which is only ever divided by.
template <typename T>
struct Step {
  Panel<T> panel;
  int64_t k;
  int pivots;
  alignas(64) T u[kStep][kStep];

  // Known to the compiler where all steps are alike.
  int size() const { return kManyRegisters ? pivots : kPanel; }
  T* at(int b, int64_t j) const { return panel.at(k - panel.first + b, j); }
  int64_t end() const { return k + size(); }
};

template <typename T>
inline bool factorize(const System<T>& s, Step<T>& g) {
  constexpr int W = kWidth<T>;
  auto& u = g.u;
  for (int i = 0; i < g.size(); ++i)
    for (int j = 0; j < g.size(); ++j)
      u[j][i] = j <= i ? s.matrix[(g.k + i) * s.stride + g.k + j] : T(0);
  for (int j = 0; j < g.size(); ++j) {
    const T pivot = u[j][j];
    if (!(pivot > T(0)) || pivot > std::numeric_limits<T>::max()) return false;
    const T diagonal = sizeof(T) == 8 ? T(__builtin_sqrt(pivot)) : T(__builtin_sqrtf(pivot));
    if (g.k + j < s.n)
      *s.half_log += sizeof(T) == 8 ? T(__builtin_log(diagonal)) : T(__builtin_logf(diagonal));
    const T inverse = T(1) / diagonal;
    for (int q = j / W * W; q < g.size(); q += W) store(u[j] + q, -inverse * load(u[j] + q));
    for (int i = j + 1; i < g.size(); ++i)
      for (int q = i / W * W; q < g.size(); q += W)
        store(u[i] + q, fma(same(-u[j][i]), load(u[j] + q), load(u[i] + q)));
    u[j][j] = inverse;
  }
  return true;
}

// rows [i, i + R) x columns [j, j + C registers) of the matrix lose p^T p, `depth` rows of a panel.
template <int R, int C, typename T>
GPBO_HD void update_part(const System<T>& s, const Panel<T>& p, int64_t first, int64_t depth,
                         int64_t i, int64_t j) {
  constexpr int W = kWidth<T>;
  const T *left = p.at(first, i), *right = p.at(first, j);
  const int64_t group = p.rows * kColumns<T>;
  Vec<T> sum[R][C] = {};
#pragma GCC unroll 2
  for (int64_t b = 0; b < depth; ++b, left += kColumns<T>, right += kColumns<T>) {
    Vec<T> columns[C];
    for (int c = 0; c < C; ++c)
      columns[c] = load(right + c * W / kColumns<T> * group + c * W % kColumns<T>);
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
      T* at = s.matrix + (i + r) * s.stride + j + c * W;
      store(at, load(at) - sum[r][c]);
    }
}

// The part of the lower triangle in rows [top, bottom) and columns [left, right) loses p^T p, where
// p are `depth` rows of the panel from b on.
template <typename T>
inline void update(const System<T>& s, const Panel<T>& p, int64_t b, int64_t depth, int64_t top,
                   int64_t bottom, int64_t left, int64_t right) {
  constexpr int W = kWidth<T>, C = kUpdateRegisters<T>;
  static_assert(kColumns<T> % kUpdateRows == 0, "rows of a block lie together in the panel");
  for (int64_t first = left; first < right; first += kChunk) {
    const int64_t end = std::min(first + kChunk, right);
    for (int64_t i = std::max(top, first); i < bottom; i += kUpdateRows) {
      const int64_t last = std::min(end, (i / kColumns<T> + 1) * kColumns<T>);
      int64_t j = first;
      for (; j + C * W <= last; j += C * W) update_part<kUpdateRows, C>(s, p, b, depth, i, j);
      if (j + 2 * W <= last)
        update_part<kUpdateRows, 2>(s, p, b, depth, i, j);
      else if (j < last)
        update_part<kUpdateRows, 1>(s, p, b, depth, i, j);
    }
  }
}

// What the group's next steps read: their rows and columns.
template <typename T>
inline void update_next(const System<T>& s, const Step<T>& g) {
  const int64_t b = g.k - g.panel.first, next = g.end(), end = g.panel.first + g.panel.rows;
  if (next == end) return;
  update(s, g.panel, b, g.size(), next, end, 0, end);
  update(s, g.panel, b, g.size(), end, s.stride, next, end);
}

template <typename T>
inline void update_sides(const System<T>& s, const Step<T>& g) {
  T white[kSides][kStep];
  for (int64_t q = 0; q < s.count; ++q) {
    T* side = s.sides + q * s.stride;
    for (int b = 0; b < g.size(); ++b) {
      T sum = side[g.k + b];
      for (int c = 0; c < b; ++c) sum += g.u[c][b] * white[q][c];
      white[q][b] = sum * g.u[b][b];
      side[g.k + b] = T(0);
    }
    for (int64_t j = 0; j < s.stride; j += kWidth<T>) {
      Vec<T> sum = load(side + j);
      for (int b = 0; b < g.size(); ++b) sum = fma(same(-white[q][b]), load(g.at(b, j)), sum);
      store(side + j, sum);
    }
    for (int64_t p = 0; p <= q; ++p)
      for (int b = 0; b < g.size(); ++b) s.products[q * s.count + p] += white[q][b] * white[p][b];
  }
}

// Takes the step's rows and columns out of the matrix. What the group's steps before would do to
// them is done, so from now on their panels have nothing there.
template <typename T>
inline void take_out(const System<T>& s, const Step<T>& g) {
  constexpr int W = kWidth<T>;
  const int64_t k = g.k, after = k + g.size();
  for (int b = 0; b < g.size(); ++b) {
    T* row = s.matrix + (k + b) * s.stride;
    for (int64_t j = 0; j < k; j += W) {  // k is a multiple of the panel and that of a register
      store(g.at(b, j), load(row + j));
      store(row + j, Vec<T>{});
    }
    for (int c = 0; c < g.size(); ++c) *g.at(b, k + c) = b == c ? T(1) : T(0), row[k + c] = T(0);
  }
  for (int64_t i = after; i < s.stride; i += kColumns<T>) {
    T* columns = s.matrix + i * s.stride + k;
    put_turned_as<false>(columns, kColumns<T>, g.size(), static_cast<int>(s.stride), g.at(0, i),
                         kColumns<T>);
    for (int r = 0; r < kColumns<T>; ++r)
      for (int b = 0; b < g.size(); b += W) store(columns + r * s.stride + b, Vec<T>{});
  }
  for (int64_t b = 0; b < k - g.panel.first; ++b)
    for (int64_t j = k; j < after; ++j) *g.panel.at(b, j) = T(0);
}

// Divides the step's rows by its factor.
template <typename T>
inline void divide(const System<T>& s, const Step<T>& g) {
  constexpr int W = kWidth<T>, C = kManyRegisters ? kColumns<T> / W : 1;
  for (int64_t j = 0; j < s.stride; j += C * W) {
    T* panel = g.at(0, j);
    for (int first = 0; first < g.size(); first += kSolved) {
      T* row = panel + first * kColumns<T>;
      Vec<T> done[kSolved][C];
      for (int b = 0; b < kSolved; ++b)
        for (int q = 0; q < C; ++q) done[b][q] = load(row + b * kColumns<T> + q * W);
      for (int c = 0; c < first; ++c)
#pragma GCC unroll 8
        for (int b = 0; b < kSolved; ++b)
          for (int q = 0; q < C; ++q) {
            const Vec<T> before = load(panel + c * kColumns<T> + q * W);
            done[b][q] = fma(same(g.u[c][first + b]), before, done[b][q]);
          }
#pragma GCC unroll 8
      for (int b = 0; b < kSolved; ++b) {
        const T* u = g.u[first + b] + first;
        for (int q = 0; q < C; ++q) {
          done[b][q] *= u[b];
          store(row + b * kColumns<T> + q * W, done[b][q]);
#pragma GCC unroll 8
          for (int c = b + 1; c < kSolved; ++c)
            done[c][q] = fma(same(u[c]), done[b][q], done[c][q]);
        }
      }
    }
  }
}

template <typename T>
bool invert(const System<T>& s) {
  const int step = step_of(s.n);
  const int64_t group = group_of(s.n);
  Step<T> g;
  Panel<T>& p = g.panel;
  p.data = s.panel;
  for (int64_t q = 0; q < s.count * s.count; ++q) s.products[q] = T(0);
  *s.half_log = T(0);
  for (p.first = 0; p.first < s.n; p.first += p.rows) {
    p.rows = std::min(group, s.stride - p.first);
    const int64_t end = p.first + p.rows;
    for (g.k = p.first; g.k < end; g.k = g.end()) {
      g.pivots = static_cast<int>(std::min<int64_t>(step, end - g.k));
      if (!factorize(s, g)) return false;
      take_out(s, g);
      divide(s, g);
      update_sides(s, g);
      update_next(s, g);
    }
    update(s, p, 0, p.rows, 0, s.stride, 0, s.stride);
  }
  return true;
}

}  // namespace GPBO_ISA
}  // namespace gpbo
