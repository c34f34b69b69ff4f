// Functions of Lanes beyond arithmetic, for the formulas: exp, log and, where the instruction for
// it is slow, the square root.
#pragma once

#include "lanes.h"

namespace gpbo {
namespace GPBO_ISA {

#if defined(__AVX512F__)
// With an estimate y of 1 / sqrt(x), g = x y and e = 1 - g y, |e| < 2^-13, the root is
// g (1 - e)^(-1/2), within 1 ulp by the cubic nearest to that.
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

// exp(-x) for x >= 0 within 2 ulp. The polynomial goes in two chains, of even and of odd powers:
// one chain is longer than what a processor looks ahead.
template <typename T>
GPBO_HD Lanes<T> exp_minus(Lanes<T> x) {
  using N = Numbers<T>;
  using Raw = typename Register<T>::Raw;  // beyond kSmallest the sum of bits overflows
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
                   : bits_as<Vec<T>>(bits_as<Raw>(y.v[u]) +
                                     (bits_as<Raw>(shifted.v[u]) << N::kMantissa)));
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
