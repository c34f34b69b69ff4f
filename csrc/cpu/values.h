// Kernel values of a tile, from the points to where the matrix lies without a stop in memory.
//
// A tile is done in blocks of a few rows and registers: their squared distances stay in registers,
// become values there, and are written as they are and turned. So the writes of one block go on
// while the next one is computed.
#pragma once

#include <algorithm>

#include "distances.h"
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
void values_as(const Tile<T>& t) {
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
        Kernel::at(r2, t.shape, value, slope, by_shape);
        for (int u = 0; u < kUnroll; ++u) all[g + u] = kScaled ? t.scale * value.v[u] : value.v[u];
      }
      // Blocks on the diagonal are their own mirror image.
      place(all, t, r, c, t.turned && !(t.diagonal && r >= c));
    }
  }
}

template <typename Kernel, typename T>
void values(const Tile<T>& t) {
  t.scale == T(1) ? values_as<false, Kernel>(t) : values_as<true, Kernel>(t);
}

}  // namespace GPBO_ISA
}  // namespace gpbo
