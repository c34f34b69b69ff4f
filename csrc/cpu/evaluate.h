// Kernel values and slopes of squared distances that lie in a row.
#pragma once

#include "functions.h"
#include "lanes.h"

namespace gpbo {
namespace GPBO_ISA {

// What a formula is taken of, for the numbers from r2 + p on; beyond `count` for any.
template <typename Kernel, typename T>
GPBO_HD Lanes<T> argument_at(const T* r2, int64_t p, int64_t count, T shape) {
  return Kernel::argument(load_lanes(r2 + (p < count ? p : 0)), shape);
}

// A square root keeps its pipe for 9 cycles and takes 20, so the next ones begin before these are
// used; with AVX-512 it is arithmetic like the rest.
template <bool kScaled, bool kSlopes, typename Kernel, typename T>
void evaluate_as(const T* r2, int64_t count, T shape, T scale, T* value, T* slope, T* by_shape) {
  constexpr int64_t kCount = Lanes<T>::kCount;
  Lanes<T> now, next, v, s, e;
  if (!kManyRegisters) next = argument_at<Kernel>(r2, 0, count, shape);
  for (int64_t p = 0; p < count; p += kCount) {
    if (kManyRegisters) {
      now = argument_at<Kernel>(r2, p, count, shape);
    } else {
      now = next;
      next = argument_at<Kernel>(r2, p + kCount, count, shape);
    }
    Kernel::at(now, shape, v, s, e);
    if (value) store_lanes(value + p, kScaled ? scale * v : v);
    if (kSlopes && slope) store_lanes(slope + p, s);
    if (kSlopes && by_shape) store_lanes(by_shape + p, e);
  }
}

// What is called most, without what it does not need.
template <typename Kernel, typename T>
void evaluate(const T* r2, int64_t count, T shape, T scale, T* value, T* slope, T* by_shape) {
  if (slope || by_shape)
    evaluate_as<true, true, Kernel>(r2, count, shape, scale, value, slope, by_shape);
  else if (scale == T(1))
    evaluate_as<false, false, Kernel>(r2, count, shape, scale, value, slope, by_shape);
  else
    evaluate_as<true, false, Kernel>(r2, count, shape, scale, value, slope, by_shape);
}

}  // namespace GPBO_ISA
}  // namespace gpbo
