// Scalar building blocks that compile for host and device.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#if defined(__CUDACC__)
#define GPBO_HD __host__ __device__ __forceinline__
#elif defined(_MSC_VER)
#define GPBO_HD __forceinline
#else
#define GPBO_HD inline __attribute__((always_inline))
#endif

namespace gpbo {

// Beyond this squared distance every kernel here is exactly 0; stopping there keeps inf * 0 out.
constexpr double kFar = 1e6;

// min that lets nan through.
template <typename T>
GPBO_HD T at_most(T x, T limit) {
  return limit < x ? limit : x;
}

template <typename T>
constexpr T kSmallestNormal = std::numeric_limits<T>::min();

// The lengthscale, or the smallest normal number, whose inverse is still finite.
template <typename T>
GPBO_HD T positive(T lengthscale) {
  return lengthscale < kSmallestNormal<T> ? kSmallestNormal<T> : lengthscale;
}

// What the host's exp is made of, per type: x = n ln2 + r, exp(x) = 2^n exp(r), |r| <= ln2 / 2.
template <typename T>
struct ExpParts;

template <>
struct ExpParts<double> {
  using Bits = int64_t;
  static constexpr double kRound = 0x1.8p52;  // adding it leaves n in the low bits
  static constexpr int kMantissa = 52;
  static constexpr double kLog2e = 0x1.71547652b82fep0;
  static constexpr double kLn2High =
      0x1.62e42fefa38p-1;  // 10 zero bits at the end: n * it is exact
  static constexpr double kLn2Low = 0x1.ef35793c7673p-45;
  static constexpr double kSmallest = -708.0;  // below: 0 instead of a subnormal number
  static constexpr int kDegree = 13;           // the next term is below 5e-18
};

template <>
struct ExpParts<float> {
  using Bits = int32_t;
  static constexpr float kRound = 0x1.8p23f;
  static constexpr int kMantissa = 23;
  static constexpr float kLog2e = 0x1.715476p0f;
  static constexpr float kLn2High = 0x1.62e4p-1f;
  static constexpr float kLn2Low = 0x1.7f7d1cp-20f;
  static constexpr float kSmallest = -87.0f;
  static constexpr int kDegree = 7;  // the next term is below 6e-9
};

// exp(x) for x <= 0 within 2 ulp. On the host without a branch or a call, so that loops of it
// become vector instructions.
template <typename T>
GPBO_HD T exp_negative(T x) {
#if defined(__CUDA_ARCH__)
  return exp(x);
#else
  using P = ExpParts<T>;
  constexpr double kInverseFactorial[] = {1.0,
                                          1.0,
                                          1.0 / 2,
                                          1.0 / 6,
                                          1.0 / 24,
                                          1.0 / 120,
                                          1.0 / 720,
                                          1.0 / 5040,
                                          1.0 / 40320,
                                          1.0 / 362880,
                                          1.0 / 3628800,
                                          1.0 / 39916800,
                                          1.0 / 479001600,
                                          1.0 / 6227020800};
  const T shifted = x * P::kLog2e + P::kRound;
  const T n = shifted - P::kRound;
  const T r = (x - n * P::kLn2High) - n * P::kLn2Low;
  T p = T(kInverseFactorial[P::kDegree]);
  for (int k = P::kDegree - 1; k >= 0; --k) p = p * r + T(kInverseFactorial[k]);
  typename P::Bits exponent, bits;
  std::memcpy(&exponent, &shifted, sizeof(T));
  std::memcpy(&bits, &p, sizeof(T));
  bits += exponent << P::kMantissa;
  std::memcpy(&p, &bits, sizeof(T));
  return x < P::kSmallest ? T(0) : p;
#endif
}

}  // namespace gpbo
