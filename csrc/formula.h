// The kernels as formulas of the squared distance, each written once: for a number on a device and
// for a vector of numbers on the host (T the number, V either).
//
// r2: squared distance after dividing by the lengthscales, >= 0. r2, not r, keeps the slope finite
// at 0; where it is infinite all the same (Matern 1/2), it counts as 0 there.
// Each has two steps, since the host takes the first, with the square root in it, ahead:
// `argument` of r2, then the results `at` it. What a caller does not use of these is not computed.
// A new kernel is one struct, its name in gpbo.h and a line in for_kernel.
#pragma once

#include "include/gpbo.h"
#include "scalar.h"

namespace gpbo {
namespace GPBO_ISA {

struct Matern52 {
  template <typename T, typename V>
  static GPBO_HD V argument(V r2, T) {
    return root(T(5) * at_most(r2, T(kFar)));
  }
  template <typename T, typename V>
  static GPBO_HD void at(V s, T, V& value, V& slope, V& by_shape) {
    const V decay = exp_minus(s);
    value = multiply_add(multiply_add(s, T(1.0 / 3.0), T(1)), s, T(1)) * decay;
    slope = T(-5.0 / 6.0) * (T(1) + s) * decay;
    by_shape = V(T(0));
  }
};

struct Matern32 {
  template <typename T, typename V>
  static GPBO_HD V argument(V r2, T) {
    return root(T(3) * at_most(r2, T(kFar)));
  }
  template <typename T, typename V>
  static GPBO_HD void at(V s, T, V& value, V& slope, V& by_shape) {
    const V decay = exp_minus(s);
    value = (T(1) + s) * decay;
    slope = T(-1.5) * decay;
    by_shape = V(T(0));
  }
};

struct Matern12 {
  template <typename T, typename V>
  static GPBO_HD V argument(V r2, T) {
    return root(at_most(r2, T(kFar)));
  }
  template <typename T, typename V>
  static GPBO_HD void at(V r, T, V& value, V& slope, V& by_shape) {
    value = exp_minus(r);
    slope = over(T(-0.5) * value, r);
    by_shape = V(T(0));
  }
};

struct Rbf {
  template <typename T, typename V>
  static GPBO_HD V argument(V r2, T) {
    return T(0.5) * at_most(r2, T(kFar));
  }
  template <typename T, typename V>
  static GPBO_HD void at(V s, T, V& value, V& slope, V& by_shape) {
    value = exp_minus(s);
    slope = T(-0.5) * value;
    by_shape = V(T(0));
  }
};

struct RationalQuadratic {
  template <typename T, typename V>
  static GPBO_HD V argument(V r2, T alpha) {
    return at_most(at_most(r2, kFarthest<T>) * (T(0.5) / alpha), kFarthest<T>);
  }
  template <typename T, typename V>
  static GPBO_HD void at(V u, T alpha, V& value, V& slope, V& by_shape) {
    const V l = log1p_positive(u);
    const V shrink = V(T(1)) / (T(1) + u);
    value = exp_minus(alpha * l);
    slope = T(-0.5) * value * shrink;
    by_shape = value * (u * shrink - l);
  }
};

// On the host: calls `use` with the struct of a kernel; false for an unknown one.
template <typename Use>
inline bool for_kernel(int kernel, Use&& use) {
  switch (kernel) {
    case GPBO_MATERN52:
      use(Matern52{});
      return true;
    case GPBO_MATERN32:
      use(Matern32{});
      return true;
    case GPBO_MATERN12:
      use(Matern12{});
      return true;
    case GPBO_RBF:
      use(Rbf{});
      return true;
    case GPBO_RATIONAL_QUADRATIC:
      use(RationalQuadratic{});
      return true;
    default:
      return false;
  }
}

}  // namespace GPBO_ISA
}  // namespace gpbo
