// Scalar building blocks of a formula, which is compiled for a host or for a device. cpu/lanes.h
// and cpu/functions.h have the same for vectors of the host, so that a formula is written once.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#if defined(__CUDACC__)
#define GPBO_HD __device__ __forceinline__
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
// In double as in cpu/functions.h, without the branches of the library's. An instruction takes an
// operand from constant memory as from a register, while a number in the code is two moves more.
static __constant__ double kExpSteps[4] = {-0x1.71547652b82fep0, 0x1.8p52, -0x1.62e42fefa38p-1,
                                           -0x1.ef35793c7673p-45};
static __constant__ double kExpTerms[12] = {0x1.af389ecfc4b9cp-26,
                                            0x1.28917c89a43a7p-22,
                                            0x1.71de0db2f6b19p-19,
                                            0x1.a019b9149a41cp-16,
                                            0x1.a01a01a7c2efep-13,
                                            0x1.6c16c17889ef1p-10,
                                            0x1.11111111109b5p-7,
                                            0x1.5555555553d68p-5,
                                            0x1.5555555555556p-3,
                                            0x1.0000000000001p-1,
                                            1.0,
                                            1.0};
GPBO_HD double exp_minus(double x) {
  const double shifted = fma(x, kExpSteps[0], kExpSteps[1]), n = shifted - kExpSteps[1];
  const double r = fma(n, kExpSteps[3], fma(n, kExpSteps[2], -x));
  double y = kExpTerms[0];
#pragma unroll
  for (int k = 1; k < 12; ++k) y = fma(y, r, kExpTerms[k]);
  const auto power = static_cast<unsigned>(__double2loint(shifted)) << 20;
  const auto high = static_cast<unsigned>(__double2hiint(y)) + power;
  return x > 708.0 ? 0.0 : __hiloint2double(static_cast<int>(high), __double2loint(y));
}
template <typename T>
GPBO_HD T log1p_positive(T x) {
  return log1p(x);
}

template <typename T>
GPBO_HD T root(T x) {
  return sqrt(x);
}
// In double within 1 ulp: with an estimate y of 1 / sqrt(x), g = x y and e = 1 - g y, |e| < 2^-20,
// the root is g (1 - e)^(-1/2). What is not even a normal number stays what it is.
GPBO_HD double root(double x) {
#if defined(__CUDA_ARCH__)
  double y;
  asm("rsqrt.approx.ftz.f64 %0, %1;" : "=d"(y) : "d"(x));
#else  // in the tests' emulation, where it is off by as much
  const double y = (1.0 + 0x1p-21) / sqrt(x);
#endif
  const double g = x * y, e = fma(-g, y, 1.0);
  const double found = fma(g * e, fma(e, 0.375, 0.5), g);
  return x < kSmallestNormal<double> ? x : found;
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
