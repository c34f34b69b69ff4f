// Scalar building blocks that compile for host and device. cpu/lanes.h and cpu/functions.h have the
// same for vectors of the host, so that a formula is written once.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#if defined(__CUDACC__)
#define GPBO_HD __host__ __device__ __forceinline__
#elif defined(_MSC_VER)
#define GPBO_HD __forceinline
#else
#define GPBO_HD inline __attribute__((always_inline))
#endif

namespace gpbo {

// Beyond this squared distance the kernels with an exponential are exactly 0, and so is the
// weight of a larger one in a heavy tail; stopping there keeps inf * 0 out.
constexpr double kFar = 1e6;
template <typename T>
constexpr T kFarthest = sizeof(T) == 8 ? T(1e300) : T(1e36);

template <typename T>
constexpr T kSmallestNormal = std::numeric_limits<T>::min();

// The lengthscale, or the smallest normal number, whose inverse is still finite.
template <typename T>
GPBO_HD T positive(T lengthscale) {
  return lengthscale < kSmallestNormal<T> ? kSmallestNormal<T> : lengthscale;
}

#if defined(__CUDACC__)
// min that lets nan through.
template <typename T>
GPBO_HD T at_most(T x, T limit) {
  return limit < x ? limit : x;
}

// exp(-x) and log(1 + x) for x >= 0.
template <typename T>
GPBO_HD T exp_minus(T x) {
  return exp(-x);
}
template <typename T>
GPBO_HD T log1p_positive(T x) {
  return log1p(x);
}

template <typename T>
GPBO_HD T root(T x) {
  return sqrt(x);
}

template <typename T>
GPBO_HD T multiply_add(T a, T b, T c) {
  return fma(a, b, c);
}

// x / y, or 0 where y is 0.
template <typename T>
GPBO_HD T over(T x, T y) {
  return y == T(0) ? T(0) : x / y;
}
#endif

}  // namespace gpbo
