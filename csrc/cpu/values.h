// Kernel values of a tile, from the points to where the matrix lies.
//
// With many registers a tile is done in blocks of a few rows and registers: their squared distances
// stay in registers, become values there, and are written as they are and turned, while the next
// block is computed. With few, distances, formula and copies are passes over a tile in the first
// cache: in one loop the distances do not go on while square roots are taken.
#pragma once

#include <algorithm>

#include "distances.h"
#include "evaluate.h"
#include "functions.h"
#include "put.h"
#include "tile.h"

namespace gpbo {
namespace GPBO_ISA {

// A block of values to its place and, turned, to that of its mirror image.
template <typename T>
GPBO_HD void place(const Vec<T>* v, const Tile<T>& t, int r, int c, bool mirrored) {
  constexpr int W = kWidth<T>, N = kRows * kRegisters;
  const int rows = std::min(t.rows - r, kRows), columns = std::min(t.columns - c, kAcross<T>);
  T *out = t.out + r * t.across + c, *turned = t.turned + c * t.across + r;
  alignas(64) T block[kRows * kAcross<T>];
  for (int q = 0; q < N; ++q) store(block + q * W, v[q]);
  if (rows < kRows || columns < kAcross<T>) {
    put(block, rows, columns, kAcross<T>, t.streams, out, t.across);
    if (!mirrored) return;
    alignas(64) T mirror[kAcross<T> * kRows];
    put_turned_as<false>(block, kRows, kAcross<T>, kAcross<T>, mirror, kRows);
    put(mirror, columns, rows, kRows, t.streams, turned, t.across);
    return;
  }
  // A whole block, with loops of known length.
  for (int q = 0; q < N; ++q) {
    T* to = out + q / kRegisters * t.across + q % kRegisters * W;
    t.streams ? stream(to, v[q]) : store(to, v[q]);
  }
  if (!mirrored) return;
  t.streams ? put_turned_as<true>(block, kRows, kAcross<T>, kAcross<T>, turned, t.across)
            : put_turned_as<false>(block, kRows, kAcross<T>, kAcross<T>, turned, t.across);
}

template <bool kScaled, typename Kernel, typename T>
void values_in_blocks(const Tile<T>& t) {
  constexpr int N = kRows * kRegisters;
  static_assert(N % kUnroll == 0, "whole Lanes");
  for (int c = 0; c < t.columns; c += kAcross<T>) {
    const int end = t.diagonal ? std::min(c + kAcross<T>, t.rows) : t.rows;
    for (int r = 0; r < end; r += kRows) {
      Vec<T> v[kRows][kRegisters], *all = &v[0][0];
      distances_in(t.a + r, t.b + c, t.d, v);
      for (int g = 0; g < N; g += kUnroll) {
        Lanes<T> r2, value, slope, by_shape;
        for (int u = 0; u < kUnroll; ++u) r2.v[u] = all[g + u];
        Kernel::at(Kernel::argument(r2, t.shape), t.shape, value, slope, by_shape);
        for (int u = 0; u < kUnroll; ++u) all[g + u] = kScaled ? t.scale * value.v[u] : value.v[u];
      }
      // Blocks on the diagonal are their own mirror image.
      place(all, t, r, c, t.turned && !(t.diagonal && r >= c));
    }
  }
}

// A tile on the diagonal is done in strips of rows, each from the diagonal on; another at once.
template <typename Kernel, typename T>
void values_in_passes(const Tile<T>& t) {
  T* const none = nullptr;
  alignas(64) T kept[kPairs + kPadding];
  const int step = t.diagonal ? kStrip : kBlock;
  for (int r = 0; r < t.rows; r += step) {
    const int first = t.diagonal ? r : 0, rows = std::min(step, t.rows - r);
    const int columns = t.columns - first;
    const int stride = (columns + kWidth<T> - 1) / kWidth<T> * kWidth<T>;
    distances(t.a + r, t.b + first, rows, stride, t.d, kept);
    evaluate<Kernel>(kept, rows * stride, t.shape, t.scale, kept, none, none);
    put(kept, rows, columns, stride, t.streams, t.out + r * t.across + first, t.across);
    const int own = t.diagonal ? rows : 0;  // its own mirror image
    if (t.turned && own < columns)
      put_turned(kept + own, rows, columns - own, stride, t.streams,
                 t.turned + (first + own) * t.across + r, t.across);
  }
}

template <typename Kernel, typename T>
void values(const Tile<T>& t) {
  if constexpr (!kManyRegisters)
    values_in_passes<Kernel>(t);
  else if (t.scale == T(1))
    values_in_blocks<false, Kernel>(t);
  else
    values_in_blocks<true, Kernel>(t);
}

}  // namespace GPBO_ISA
}  // namespace gpbo
