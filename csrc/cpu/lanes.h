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

template <typename T>
struct Numbers;

// exp: x = n ln2 + r, exp(x) = 2^n (1 + r + r^2 q(r)), |r| <= ln2 / 2, with q the polynomial
// nearest to its function at Chebyshev points (relative error 1.3e-17 and 8e-9).
template <>
struct Numbers<double> {
  using Bits = int64_t;
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
};
template <>
struct Register<float> {
  typedef float Type __attribute__((vector_size(GPBO_BYTES)));
  typedef float Loose __attribute__((vector_size(GPBO_BYTES), aligned(4), may_alias));
  typedef int32_t Bits __attribute__((vector_size(GPBO_BYTES)));
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

#if defined(__AVX512F__)
// With an estimate y of 1 / sqrt(x), g = x y and e = 1 - g y, |e| < 2^-13: sqrt(x) = g (1 -
// e)^(-1/2) within 1 ulp, by the cubic nearest to that.
GPBO_HD Lanes<double> root(Lanes<double> x) {
  using T = double;
  Lanes<T> y, e;
  for (int u = 0; u < kUnroll; ++u)
    y.v[u] = _mm512_maskz_rsqrt14_pd(_mm512_cmp_pd_mask(x.v[u], _mm512_setzero_pd(), _CMP_NEQ_UQ),
                                     x.v[u]);
  const Lanes<T> g = x * y;
  for (int u = 0; u < kUnroll; ++u) e.v[u] = fma(-g.v[u], y.v[u], same(1.0));
  const Lanes<T> linear = multiply_add(e, 0x1.4000003417d71p-2, 0x1.80000039e199ap-2);
  const Lanes<T> series = multiply_add(linear, e, 0.5);
  return multiply_add(g * e, series, g);
}
#endif

template <typename T>
GPBO_HD Lanes<T> load_lanes(const T* p) {
  GPBO_EACH(c, load(p + u * kWidth<T>));
}
template <typename T>
GPBO_HD void store_lanes(T* p, Lanes<T> a) {
  for (int u = 0; u < kUnroll; ++u) store(p + u * kWidth<T>, a.v[u]);
}

// exp(-x) for x >= 0 within 2 ulp. The polynomial goes in two chains, of even and of odd powers:
// one chain is longer than what a processor looks ahead.
template <typename T>
GPBO_HD Lanes<T> exp_minus(Lanes<T> x) {
  using N = Numbers<T>;
  using Bits = typename Register<T>::Bits;
  constexpr int kOdd = N::kTerms / 2 * 2 - 1, kEven = (N::kTerms - 1) / 2 * 2;  // the last terms
  const Lanes<T> shifted = multiply_add(x, -N::kLog2e, N::kRound);
  const Lanes<T> n = shifted - Lanes<T>(N::kRound);
  Lanes<T> r;
  for (int u = 0; u < kUnroll; ++u)
    r.v[u] = fma(n.v[u], same(-N::kLn2Low), fms(n.v[u], same(-N::kLn2High), x.v[u]));
  const Lanes<T> rr = r * r;
  Lanes<T> odd(N::kExp[kOdd]), even(N::kExp[kEven]);
  for (int k = kOdd - 2; k > 0; k -= 2) odd = multiply_add(odd, rr, N::kExp[k]);
  for (int k = kEven - 2; k >= 0; k -= 2) even = multiply_add(even, rr, N::kExp[k]);
  const Lanes<T> q = multiply_add(multiply_add(odd, r, even), rr, r);
  const Lanes<T> y = T(1) + q;
  GPBO_EACH(c, x.v[u] > -N::kSmallest
                   ? Vec<T>{}
                   : bits_as<Vec<T>>(bits_as<Bits>(y.v[u]) +
                                     (bits_as<Bits>(shifted.v[u]) << N::kMantissa)));
}

#if defined(__AVX512F__)
// The same with 2^(j / 16) from a table in registers: x = n / 16 ln2 + r, |r| <= ln2 / 32, exp(x) =
// 2^(n / 16) (1 + r + r^2 q(r)) with half the terms. kSixteenths[j] are the bits of 2^(j / 16) less
// j << 48, so that adding n << 48 sets the exponent and leaves the fraction right.
constexpr int64_t kSixteenths[16] = {
    0x3ff0000000000000, 0x3fefb5586cf9890f, 0x3fef72b83c7d517b, 0x3fef387a6e756238,
    0x3fef06fe0a31b715, 0x3feedea64c123422, 0x3feebfdad5362a27, 0x3feeab07dd485429,
    0x3feea09e667f3bcd, 0x3feea11473eb0187, 0x3feeace5422aa0db, 0x3feec49182a3f090,
    0x3feee89f995ad3ad, 0x3fef199bdd85529c, 0x3fef5818dcfba487, 0x3fefa4afa2a490da};

GPBO_HD Lanes<double> exp_minus(Lanes<double> x) {
  using T = double;
  using N = Numbers<T>;
  const __m512i low = _mm512_loadu_si512(kSixteenths), high = _mm512_loadu_si512(kSixteenths + 8);
  const Lanes<T> shifted = multiply_add(x, -16 * N::kLog2e, N::kRound);
  const Lanes<T> n = shifted - Lanes<T>(N::kRound);
  Lanes<T> r, power;
  for (int u = 0; u < kUnroll; ++u) r.v[u] = fms(n.v[u], same(-0x1.62e42fefa39efp-5), x.v[u]);
  r = multiply_add(n, Lanes<T>(-0x1.abc9e3b39803fp-60), r);
  const Lanes<T> rr = r * r;
  const Lanes<T> first = multiply_add(r, 0x1.55555554dd44dp-3, 0.5);
  const Lanes<T> second = multiply_add(r, 0x1.11120af701e68p-7, 0x1.55555555194d2p-5);
  const Lanes<T> rest = multiply_add(rr, Lanes<T>(0x1.6c17bb51f23eap-10), second);
  const Lanes<T> q = multiply_add(multiply_add(rest, rr, first), rr, r);
  for (int u = 0; u < kUnroll; ++u) {
    const __m512i bits = bits_as<__m512i>(shifted.v[u]);
    power.v[u] = bits_as<Vec<T>>(
        _mm512_add_epi64(_mm512_permutex2var_epi64(low, bits, high), _mm512_slli_epi64(bits, 48)));
  }
  GPBO_EACH(c, _mm512_maskz_fmadd_pd(_mm512_cmp_pd_mask(x.v[u], same(-N::kSmallest), _CMP_NGT_UQ),
                                     power.v[u], q.v[u], power.v[u]));
}
#endif

// log(1 + u) for u >= 0, relative to its own size also where u is small: with y = 1 + u rounded,
// log y + (what the rounding took) / y; y = 2^e m, log m = 2 atanh((m - 1) / (m + 1)).
template <typename T>
GPBO_HD Lanes<T> log1p_positive(Lanes<T> u1) {
  using N = Numbers<T>;
  using Bits = typename Register<T>::Bits;
  const Lanes<T> y = T(1) + u1;
  const Lanes<T> lost = (u1 - (T(-1) + y)) / y;
  const auto half = bits_as<typename N::Bits>(T(0.70710678118654752));
  const auto shift = bits_as<typename N::Bits>(N::kRound);
  Lanes<T> m, e;
  for (int u = 0; u < kUnroll; ++u) {
    const Bits bits = bits_as<Bits>(y.v[u]);
    const Bits power = (bits - half) >> N::kMantissa;
    m.v[u] = bits_as<Vec<T>>(bits - (power << N::kMantissa));
    e.v[u] = bits_as<Vec<T>>(power + shift) - N::kRound;
  }
  const Lanes<T> f = T(-1) + m;
  const Lanes<T> s = f / (T(2) + f);
  const Lanes<T> z = s * s;
  Lanes<T> series(T(2.0 / (2 * N::kLogTerms + 1)));
  for (int k = N::kLogTerms - 1; k > 0; --k) series = multiply_add(series, z, T(2.0 / (2 * k + 1)));
  const Lanes<T> low = multiply_add(s * z, series, multiply_add(e, Lanes<T>(N::kLn2Low), lost));
  return multiply_add(e, Lanes<T>(N::kLn2High), multiply_add(s, Lanes<T>(T(2)), low));
}

#undef GPBO_EACH

}  // namespace GPBO_ISA
}  // namespace gpbo
