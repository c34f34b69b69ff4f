// Vectors of the instruction set that this is compiled for: GPBO_ISA names it, GPBO_BYTES is the
// size of its registers. A Lanes value is kUnroll registers at once, so that a chain of dependent
// instructions leaves no gaps. Everything is inlined and nothing of the standard library is
// called: a function that the linker shares between files would carry one file's instructions
// into another.
#pragma once

#include <cstring>

#include "../scalar.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace gpbo {
namespace GPBO_ISA {

// Whether there are 32 registers, and estimates of square roots: a block of a tile stays in
// registers then. Elsewhere a tile is done in passes over memory in the first cache.
constexpr bool kManyRegisters = GPBO_BYTES >= 64;

template <typename T>
struct Numbers;

// exp: x = n ln2 + r, exp(x) = 2^n (1 + r + r^2 q(r)), |r| <= ln2 / 2, with q the polynomial
// nearest to its function at Chebyshev points (relative error 1.3e-17 and 8e-9).
template <>
struct Numbers<double> {
  using Bits = int64_t;
  using Raw = uint64_t;
  static constexpr int kMantissa = 52;
  static constexpr double kRound = 0x1.8p52;  // adding it leaves n in the low bits
  static constexpr double kLog2e = 0x1.71547652b82fep0;
  static constexpr double kLn2High =
      0x1.62e42fefa38p-1;  // 10 zero bits at the end: n * it is exact
  static constexpr double kLn2Low = 0x1.ef35793c7673p-45;
  static constexpr double kSmallest = -708.0;  // below: 0 instead of a subnormal number
  static constexpr int kTerms = 10;
  static constexpr double kExp[kTerms] = {
      0x1.0000000000001p-1,  0x1.5555555555556p-3,  0x1.5555555553d68p-5,  0x1.11111111109b5p-7,
      0x1.6c16c17889ef1p-10, 0x1.a01a01a7c2efep-13, 0x1.a019b9149a41cp-16, 0x1.71de0db2f6b19p-19,
      0x1.28917c89a43a7p-22, 0x1.af389ecfc4b9cp-26};
  static constexpr int kLogTerms = 10;
};

template <>
struct Numbers<float> {
  using Bits = int32_t;
  using Raw = uint32_t;
  static constexpr int kMantissa = 23;
  static constexpr float kRound = 0x1.8p23f;
  static constexpr float kLog2e = 0x1.715476p0f;
  static constexpr float kLn2High = 0x1.62e4p-1f;
  static constexpr float kLn2Low = 0x1.7f7d1cp-20f;
  static constexpr float kSmallest = -87.0f;
  static constexpr int kTerms = 5;
  static constexpr float kExp[kTerms] = {0.5f, 0x1.5554dd04e58bep-3f, 0x1.55551933893e6p-5f,
                                         0x1.120b616c43f75p-7f, 0x1.6d10fc65baf1cp-10f};
  static constexpr int kLogTerms = 4;
};

#if defined(__GNUC__)
template <typename T>
struct Register;
template <>
struct Register<double> {
  typedef double Type __attribute__((vector_size(GPBO_BYTES)));
  typedef double Loose __attribute__((vector_size(GPBO_BYTES), aligned(8), may_alias));
  typedef int64_t Bits __attribute__((vector_size(GPBO_BYTES)));
  typedef uint64_t Raw __attribute__((vector_size(GPBO_BYTES)));
};
template <>
struct Register<float> {
  typedef float Type __attribute__((vector_size(GPBO_BYTES)));
  typedef float Loose __attribute__((vector_size(GPBO_BYTES), aligned(4), may_alias));
  typedef int32_t Bits __attribute__((vector_size(GPBO_BYTES)));
  typedef uint32_t Raw __attribute__((vector_size(GPBO_BYTES)));
};
template <typename T>
constexpr int kWidth = GPBO_BYTES / sizeof(T);
template <typename T>
GPBO_HD T lane(const typename Register<T>::Type& v, int i) {
  return v[i];
}
#else
template <typename T>
struct Register {
  using Type = T;
  using Loose = T;
  using Bits = typename Numbers<T>::Bits;
  using Raw = typename Numbers<T>::Raw;
};
template <typename T>
constexpr int kWidth = 1;
template <typename T>
GPBO_HD T lane(const T& v, int) {
  return v;
}
#endif

template <typename T>
using Vec = typename Register<T>::Type;

template <typename T>
GPBO_HD Vec<T> load(const T* p) {
  return *reinterpret_cast<const typename Register<T>::Loose*>(p);
}
template <typename T>
GPBO_HD void store(T* p, Vec<T> v) {
  *reinterpret_cast<typename Register<T>::Loose*>(p) = v;
}
template <typename T>
GPBO_HD Vec<T> same(T x) {
  return x - Vec<T>{};
}

// Asks for a line to come to the second cache.
template <typename T>
GPBO_HD void prefetch(const T* p) {
#if defined(__GNUC__)
  __builtin_prefetch(p, 0, 2);
#endif
}

// a * b + c, with one rounding where the machine can.
// And a * b - c; and the lesser of two, the second where one is nan.
#if defined(__AVX512F__)
GPBO_HD Vec<double> fms(Vec<double> a, Vec<double> b, Vec<double> c) {
  return _mm512_fmsub_pd(a, b, c);
}
GPBO_HD Vec<float> fms(Vec<float> a, Vec<float> b, Vec<float> c) {
  return _mm512_fmsub_ps(a, b, c);
}
GPBO_HD Vec<double> least_of(Vec<double> a, Vec<double> b) { return _mm512_min_pd(a, b); }
GPBO_HD Vec<float> least_of(Vec<float> a, Vec<float> b) { return _mm512_min_ps(a, b); }
GPBO_HD Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return _mm512_fmadd_pd(a, b, c);
}
GPBO_HD Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
  return _mm512_fmadd_ps(a, b, c);
}
// The square root within 1 ulp from an estimate of 1 / sqrt(x) and a Newton step, since the
// instruction for it takes longer than all the rest of a kernel. g -> sqrt(x), h -> 1 / (2
// sqrt(x)).
GPBO_HD Vec<float> sqrt_of(Vec<float> x) {
  const Vec<float> half = same(0.5f);
  const __mmask16 some = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_NEQ_UQ);
  const Vec<float> y = _mm512_maskz_rsqrt14_ps(some, x);
  Vec<float> g = x * y, h = half * y;
  const Vec<float> r = fma(-g, h, half);
  g = fma(g, r, g), h = fma(h, r, h);
  return fma(fma(-g, g, x), h, g);
}
#elif defined(__AVX2__)
GPBO_HD Vec<double> fms(Vec<double> a, Vec<double> b, Vec<double> c) {
  return _mm256_fmsub_pd(a, b, c);
}
GPBO_HD Vec<float> fms(Vec<float> a, Vec<float> b, Vec<float> c) {
  return _mm256_fmsub_ps(a, b, c);
}
GPBO_HD Vec<double> least_of(Vec<double> a, Vec<double> b) { return _mm256_min_pd(a, b); }
GPBO_HD Vec<float> least_of(Vec<float> a, Vec<float> b) { return _mm256_min_ps(a, b); }
GPBO_HD Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return _mm256_fmadd_pd(a, b, c);
}
GPBO_HD Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
  return _mm256_fmadd_ps(a, b, c);
}
GPBO_HD Vec<double> sqrt_of(Vec<double> x) { return _mm256_sqrt_pd(x); }
GPBO_HD Vec<float> sqrt_of(Vec<float> x) { return _mm256_sqrt_ps(x); }
#else
template <typename V>
GPBO_HD V fma(V a, V b, V c) {
  return a * b + c;
}
template <typename V>
GPBO_HD V fms(V a, V b, V c) {
  return a * b - c;
}
#if !defined(__x86_64__)
template <typename V>
GPBO_HD V least_of(V a, V b) {
  return a < b ? a : b;
}
#else
GPBO_HD Vec<double> least_of(Vec<double> a, Vec<double> b) { return _mm_min_pd(a, b); }
GPBO_HD Vec<float> least_of(Vec<float> a, Vec<float> b) { return _mm_min_ps(a, b); }
#endif
#if defined(__x86_64__)
GPBO_HD Vec<double> sqrt_of(Vec<double> x) { return _mm_sqrt_pd(x); }
GPBO_HD Vec<float> sqrt_of(Vec<float> x) { return _mm_sqrt_ps(x); }
#elif defined(__GNUC__)
GPBO_HD Vec<double> sqrt_of(Vec<double> x) {
  for (int i = 0; i < kWidth<double>; ++i) x[i] = __builtin_sqrt(x[i]);
  return x;
}
GPBO_HD Vec<float> sqrt_of(Vec<float> x) {
  for (int i = 0; i < kWidth<float>; ++i) x[i] = __builtin_sqrtf(x[i]);
  return x;
}
#else
GPBO_HD double sqrt_of(double x) { return std::sqrt(x); }
GPBO_HD float sqrt_of(float x) { return std::sqrt(x); }
#endif
#endif

template <typename T>
GPBO_HD T sum_of(Vec<T> v) {
  T lanes[kWidth<T>];
  store(lanes, v);
  for (int half = kWidth<T> / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  return lanes[0];
}

template <typename To, typename From>
GPBO_HD To bits_as(const From& from) {
  To to;
  static_assert(sizeof(to) == sizeof(from), "the same bits");
#if defined(__GNUC__)
  __builtin_memcpy(&to, &from, sizeof(to));
#else
  std::memcpy(&to, &from, sizeof(to));
#endif
  return to;
}

constexpr int kUnroll = 4;

template <typename T>
struct Lanes {
  Vec<T> v[kUnroll];
  static constexpr int kCount = kUnroll * kWidth<T>;

  Lanes() = default;
  GPBO_HD explicit Lanes(T x) {
    for (int u = 0; u < kUnroll; ++u) v[u] = same(x);
  }
};

// One loop over the registers of a Lanes value; unrolled, so that its steps run side by side.
#define GPBO_EACH(result, expression)                           \
  Lanes<T> result;                                              \
  for (int u = 0; u < kUnroll; ++u) result.v[u] = (expression); \
  return result

template <typename T>
GPBO_HD Lanes<T> operator+(Lanes<T> a, Lanes<T> b) {
  GPBO_EACH(c, a.v[u] + b.v[u]);
}
template <typename T>
GPBO_HD Lanes<T> operator+(T a, Lanes<T> b) {
  GPBO_EACH(c, a + b.v[u]);
}
template <typename T>
GPBO_HD Lanes<T> operator-(Lanes<T> a, Lanes<T> b) {
  GPBO_EACH(c, a.v[u] - b.v[u]);
}
template <typename T>
GPBO_HD Lanes<T> operator-(Lanes<T> a) {
  GPBO_EACH(c, -a.v[u]);
}
template <typename T>
GPBO_HD Lanes<T> operator*(Lanes<T> a, Lanes<T> b) {
  GPBO_EACH(c, a.v[u] * b.v[u]);
}
template <typename T>
GPBO_HD Lanes<T> operator*(T a, Lanes<T> b) {
  GPBO_EACH(c, a * b.v[u]);
}
template <typename T>
GPBO_HD Lanes<T> operator*(Lanes<T> a, T b) {
  GPBO_EACH(c, a.v[u] * b);
}
template <typename T>
GPBO_HD Lanes<T> operator/(Lanes<T> a, Lanes<T> b) {
  GPBO_EACH(c, a.v[u] / b.v[u]);
}
template <typename T>
GPBO_HD Lanes<T> at_most(Lanes<T> a, T limit) {
  GPBO_EACH(c, least_of(same(limit), a.v[u]));
}
template <typename T>
GPBO_HD Lanes<T> root(Lanes<T> a) {
  GPBO_EACH(c, sqrt_of(a.v[u]));
}
template <typename T>
GPBO_HD Lanes<T> over(Lanes<T> a, Lanes<T> b) {
  GPBO_EACH(c, b.v[u] == T(0) ? Vec<T>{} : a.v[u] / b.v[u]);
}
template <typename T>
GPBO_HD Lanes<T> multiply_add(Lanes<T> a, Lanes<T> b, Lanes<T> c) {
  GPBO_EACH(e, fma(a.v[u], b.v[u], c.v[u]));
}
template <typename T>
GPBO_HD Lanes<T> multiply_add(Lanes<T> a, Lanes<T> b, T c) {
  GPBO_EACH(e, fma(a.v[u], b.v[u], same(c)));
}

template <typename T>
GPBO_HD Lanes<T> multiply_add(Lanes<T> a, T b, T c) {
  GPBO_EACH(e, fma(a.v[u], same(b), same(c)));
}

template <typename T>
GPBO_HD T sum_of(Lanes<T> a) {
  return sum_of<T>((a.v[0] + a.v[1]) + (a.v[2] + a.v[3]));
}

template <typename T>
GPBO_HD Lanes<T> load_lanes(const T* p) {
  GPBO_EACH(c, load(p + u * kWidth<T>));
}
template <typename T>
GPBO_HD void store_lanes(T* p, Lanes<T> a) {
  for (int u = 0; u < kUnroll; ++u) store(p + u * kWidth<T>, a.v[u]);
}

}  // namespace GPBO_ISA
}  // namespace gpbo
