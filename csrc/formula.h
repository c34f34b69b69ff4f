// The kernels as formulas of the squared distance, each written once for host and device.
//
// r2: squared distance after dividing by the lengthscales, >= 0. r2, not r, keeps the slope finite
// at 0. A new kernel is two functions, a tag with them, and its name in gpbo.h.
#pragma once

#include "scalar.h"

namespace gpbo {

template <typename T>
GPBO_HD T matern52(T r2) {
  const T s = std::sqrt(T(5) * at_most(r2, T(kFar)));
  return (T(1) + s + s * s / T(3)) * exp_negative(-s);
}

template <typename T>
GPBO_HD T matern52_dr2(T r2) {
  const T s = std::sqrt(T(5) * at_most(r2, T(kFar)));
  return T(-5) / T(6) * (T(1) + s) * exp_negative(-s);
}

struct Matern52 {
  template <typename T>
  static GPBO_HD T value(T r2) {
    return matern52(r2);
  }
  template <typename T>
  static GPBO_HD T slope(T r2) {
    return matern52_dr2(r2);
  }
};

}  // namespace gpbo
