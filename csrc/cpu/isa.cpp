// The loops of tile.h for one instruction set. Built several times, with GPBO_ISA for the namespace
// and GPBO_BYTES for the size of a register.

#include "../formula.h"
#include "inverse.h"
#include "lanes.h"
#include "tile.h"

// After lanes.h: its functions for vectors of numbers are what the formulas call.

namespace gpbo {
namespace GPBO_ISA {
namespace {

template <int R, int C, typename T>
GPBO_HD void distances_of(const T* a, const T* b, int64_t d, int stride, T* r2) {
  constexpr int W = kWidth<T>;
  Vec<T> sum[R][C] = {};
  for (int64_t k = 0; k < d; ++k, a += kBlock, b += kBlock) {
    Vec<T> right[C];
    for (int c = 0; c < C; ++c) right[c] = load(b + c * W);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) {
        const Vec<T> apart = a[r] - right[c];
        sum[r][c] = fma(apart, apart, sum[r][c]);
      }
  }
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) store(r2 + r * stride + c * W, sum[r][c]);
}

template <typename T>
void distances(const T* a, const T* b, int rows, int stride, int64_t d, T* r2) {
  constexpr int W = kWidth<T>;
  for (int r = 0; r < rows; r += 4) {
    int c = 0;
    for (; c + 2 * W <= stride; c += 2 * W)
      distances_of<4, 2>(a + r, b + c, d, stride, r2 + r * stride + c);
    if (c < stride) distances_of<4, 1>(a + r, b + c, d, stride, r2 + r * stride + c);
  }
}

template <bool kScaled, typename Kernel, typename T>
void evaluate(const T* r2, int64_t count, T shape, T scale, T* value, T* slope, T* by_shape) {
  for (int64_t p = 0; p < count; p += Lanes<T>::kCount) {
    Lanes<T> v, s, e;
    Kernel::at(load_lanes(r2 + p), shape, v, s, e);
    if (value) store_lanes(value + p, kScaled ? scale * v : v);
    if (slope) store_lanes(slope + p, s);
    if (by_shape) store_lanes(by_shape + p, e);
  }
}

// What is called most, without what it does not need.
template <typename Kernel, typename T>
void evaluate_any(const T* r2, int64_t count, T shape, T scale, T* value, T* slope, T* by_shape) {
  if (value && !slope && !by_shape && scale == T(1))
    evaluate<false, Kernel, T>(r2, count, shape, scale, value, nullptr, nullptr);
  else
    evaluate<true, Kernel, T>(r2, count, shape, scale, value, slope, by_shape);
}

template <typename T>
void put(const T* tile, int rows, int columns, int stride, T* out, int64_t out_stride) {
  constexpr int W = kWidth<T>;
  for (int r = 0; r < rows; ++r) {
    const T* from = tile + r * stride;
    T* to = out + r * out_stride;
    int c = 0;
    for (; c + W <= columns; c += W) store(to + c, load(from + c));
    for (; c < columns; ++c) to[c] = from[c];
  }
}

#if defined(__x86_64__)
// A square of a tile, turned in registers: rows from `from`, columns to `to`.
GPBO_HD void turn(const float* from, int stride, float* to, int64_t to_stride) {
  __m128 a = _mm_loadu_ps(from), b = _mm_loadu_ps(from + stride);
  __m128 c = _mm_loadu_ps(from + 2 * stride), d = _mm_loadu_ps(from + 3 * stride);
  _MM_TRANSPOSE4_PS(a, b, c, d);
  _mm_storeu_ps(to, a), _mm_storeu_ps(to + to_stride, b);
  _mm_storeu_ps(to + 2 * to_stride, c), _mm_storeu_ps(to + 3 * to_stride, d);
}
#if defined(__AVX512F__)
constexpr int kTurnRows = 8;
GPBO_HD void turn(const double* from, int stride, double* to, int64_t to_stride) {
  const auto rows = [&](int r) {  // rows r and r + 4 side by side
    return _mm512_insertf64x4(_mm512_castpd256_pd512(_mm256_loadu_pd(from + r * stride)),
                              _mm256_loadu_pd(from + (r + 4) * stride), 1);
  };
  const __m512d a = rows(0), b = rows(1), c = rows(2), d = rows(3);
  const __m512d ab0 = _mm512_unpacklo_pd(a, b), ab1 = _mm512_unpackhi_pd(a, b);
  const __m512d cd0 = _mm512_unpacklo_pd(c, d), cd1 = _mm512_unpackhi_pd(c, d);
  const __m512i low = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
  const __m512i high = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
  _mm512_storeu_pd(to, _mm512_permutex2var_pd(ab0, low, cd0));
  _mm512_storeu_pd(to + to_stride, _mm512_permutex2var_pd(ab1, low, cd1));
  _mm512_storeu_pd(to + 2 * to_stride, _mm512_permutex2var_pd(ab0, high, cd0));
  _mm512_storeu_pd(to + 3 * to_stride, _mm512_permutex2var_pd(ab1, high, cd1));
}
#elif defined(__AVX2__)
constexpr int kTurnRows = 4;
GPBO_HD void turn(const double* from, int stride, double* to, int64_t to_stride) {
  const __m256d a = _mm256_loadu_pd(from), b = _mm256_loadu_pd(from + stride);
  const __m256d c = _mm256_loadu_pd(from + 2 * stride), d = _mm256_loadu_pd(from + 3 * stride);
  const __m256d ab0 = _mm256_unpacklo_pd(a, b), ab1 = _mm256_unpackhi_pd(a, b);
  const __m256d cd0 = _mm256_unpacklo_pd(c, d), cd1 = _mm256_unpackhi_pd(c, d);
  _mm256_storeu_pd(to, _mm256_permute2f128_pd(ab0, cd0, 0x20));
  _mm256_storeu_pd(to + to_stride, _mm256_permute2f128_pd(ab1, cd1, 0x20));
  _mm256_storeu_pd(to + 2 * to_stride, _mm256_permute2f128_pd(ab0, cd0, 0x31));
  _mm256_storeu_pd(to + 3 * to_stride, _mm256_permute2f128_pd(ab1, cd1, 0x31));
}
#else
constexpr int kTurnRows = 2;
GPBO_HD void turn(const double* from, int stride, double* to, int64_t to_stride) {
  for (int c = 0; c < 4; c += 2) {
    const __m128d a = _mm_loadu_pd(from + c), b = _mm_loadu_pd(from + stride + c);
    _mm_storeu_pd(to + c * to_stride, _mm_unpacklo_pd(a, b));
    _mm_storeu_pd(to + (c + 1) * to_stride, _mm_unpackhi_pd(a, b));
  }
}
#endif
#endif

template <typename T>
void put_turned(const T* tile, int rows, int columns, int stride, T* out, int64_t out_stride) {
  int turned_rows = 0, turned_columns = 0;
#if defined(__x86_64__)
  constexpr int kRows = sizeof(T) == 8 ? kTurnRows : 4;
  turned_rows = rows / kRows * kRows, turned_columns = columns / 4 * 4;
  for (int c = 0; c < turned_columns; c += 4)
    for (int r = 0; r < turned_rows; r += kRows)
      turn(tile + r * stride + c, stride, out + c * out_stride + r, out_stride);
#endif
  for (int c = 0; c < columns; ++c)
    for (int r = c < turned_columns ? turned_rows : 0; r < rows; ++r)
      out[c * out_stride + r] = tile[r * stride + c];
}

template <typename T>
void contract(const T* a, const T* b, const T* w, int rows, int stride, int64_t d, T* sums) {
  constexpr int W = kWidth<T>;
  for (int64_t k = 0; k < d; ++k, a += kBlock, b += kBlock, sums += W) {
    Vec<T> sum[4] = {load(sums)};
    for (int c = 0; c < stride; c += W) {
      const Vec<T> right = load(b + c);
      for (int r = 0; r < rows; r += 4)
#pragma GCC unroll 4
        for (int q = 0; q < 4; ++q) {
          const Vec<T> apart = a[r + q] - right;
          sum[q] = fma(load(w + (r + q) * stride + c) * apart, apart, sum[q]);
        }
    }
    store(sums, (sum[0] + sum[1]) + (sum[2] + sum[3]));
  }
}

template <typename T>
void pull(const T* a, const T* b, const T* w, int rows, int stride, int64_t d, T* out) {
  constexpr int W = kWidth<T>;
  for (int64_t k = 0; k < d; ++k, a += kBlock, b += kBlock, out += kBlock)
    for (int c = 0; c < stride; c += W) {
      const Vec<T> right = load(b + c);
      Vec<T> sum[4] = {load(out + c)};
      for (int r = 0; r < rows; r += 4)
#pragma GCC unroll 4
        for (int q = 0; q < 4; ++q)
          sum[q] = fma(load(w + (r + q) * stride + c), right - a[r + q], sum[q]);
      store(out + c, (sum[0] + sum[1]) + (sum[2] + sum[3]));
    }
}

template <typename T>
void gather(const T* a, const T* tile, int rows, int stride, int64_t count, T* out) {
  constexpr int W = kWidth<T>;
  for (int64_t k = 0; k < count; ++k, a += kBlock, out += kBlock)
    for (int c = 0; c < stride; c += W) {
      Vec<T> sum[4] = {load(out + c)};
      for (int r = 0; r < rows; r += 4)
#pragma GCC unroll 4
        for (int q = 0; q < 4; ++q)
          sum[q] = fma(same(a[r + q]), load(tile + (r + q) * stride + c), sum[q]);
      store(out + c, (sum[0] + sum[1]) + (sum[2] + sum[3]));
    }
}

template <typename T>
void outer(const T* a, const T* b, int rows, int stride, int64_t count, T* tile) {
  constexpr int W = kWidth<T>;
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < stride; c += W) {
      Vec<T> sum = load(tile + r * stride + c);
      for (int64_t q = 0; q < count; ++q)
        sum = fma(same(a[q * kBlock + r]), load(b + q * kBlock + c), sum);
      store(tile + r * stride + c, sum);
    }
}

template <typename T>
T dot(const T* x, const T* y, int64_t count) {
  constexpr int W = kWidth<T>;
  Vec<T> sum[2] = {};
  int64_t p = 0;
  for (; p + 2 * W <= count; p += 2 * W)
    for (int q = 0; q < 2; ++q) sum[q] = fma(load(x + p + q * W), load(y + p + q * W), sum[q]);
  T rest = T(0);
  for (; p < count; ++p) rest += x[p] * y[p];
  return sum_of<T>(sum[0] + sum[1]) + rest;
}

template <typename T>
void exp_of(const T* x, int64_t count, T* result) {
  constexpr int kCount = Lanes<T>::kCount;
  int64_t p = 0;
  for (; p + kCount <= count; p += kCount)
    store_lanes(result + p, exp_negative(load_lanes(x + p)));
  T rest[kCount] = {};
  for (int64_t q = p; q < count; ++q) rest[q - p] = x[q];
  store_lanes(rest, exp_negative(load_lanes(rest)));
  for (int64_t q = p; q < count; ++q) result[q] = rest[q - p];
}

template <typename T>
constexpr Loops<T> kLoops = {
    GPBO_NAME,
    kWidth<T>,
    distances<T>,
    {evaluate_any<Matern52, T>, evaluate_any<Matern32, T>, evaluate_any<Matern12, T>,
     evaluate_any<Rbf, T>, evaluate_any<RationalQuadratic, T>},
    put<T>,
    put_turned<T>,
    contract<T>,
    pull<T>,
    gather<T>,
    outer<T>,
    dot<T>,
    invert<T>,
    exp_of<T>};

}  // namespace

extern const Loops<double> kLoopsDouble = kLoops<double>;
extern const Loops<float> kLoopsFloat = kLoops<float>;

}  // namespace GPBO_ISA
}  // namespace gpbo
