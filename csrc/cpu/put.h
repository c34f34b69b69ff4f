// Tiles copied to where the matrix lies, as they are and turned.
#pragma once

#include <algorithm>
#include <cstdint>

#include "lanes.h"

namespace gpbo {
namespace GPBO_ISA {

// To memory past the caches, for results that are larger than these: whole aligned lines only.
template <typename T>
GPBO_HD void stream(T* to, Vec<T> v) {
#if defined(__AVX512F__)
  _mm512_stream_si512(reinterpret_cast<__m512i*>(to), bits_as<__m512i>(v));
#elif defined(__AVX2__)
  _mm256_stream_si256(reinterpret_cast<__m256i*>(to), bits_as<__m256i>(v));
#else
  store(to, v);
#endif
}

// Copies `count` numbers, fewer than a register has.
template <typename T>
GPBO_HD void copy_some(T* to, const T* from, int count) {
#if defined(__AVX512F__)
  const auto some = (1u << count) - 1;
  if constexpr (sizeof(T) == 8)
    _mm512_mask_storeu_pd(to, static_cast<__mmask8>(some),
                          _mm512_maskz_loadu_pd(static_cast<__mmask8>(some), from));
  else
    _mm512_mask_storeu_ps(to, static_cast<__mmask16>(some),
                          _mm512_maskz_loadu_ps(static_cast<__mmask16>(some), from));
#else
  for (int c = 0; c < count; ++c) to[c] = from[c];
#endif
}

// Past the caches go the whole lines of 64 bytes of a row, what is before and after them does not.
template <bool kStream, typename T>
void put_as(const T* tile, int rows, int columns, int stride, T* out, int64_t out_stride) {
  constexpr int W = kWidth<T>;
  for (int r = 0; r < rows; ++r) {
    const T* from = tile + r * stride;
    T* to = out + r * out_stride;
    int c = 0;
    if (kStream) {
      const auto past = static_cast<int>(reinterpret_cast<uintptr_t>(to) % 64);
      const int before = past ? std::min((64 - past) / static_cast<int>(sizeof(T)), columns) : 0;
      for (; c + W <= before; c += W) store(to + c, load(from + c));
      if (c < before) copy_some(to + c, from + c, before - c);
      c = before;
      for (; c + 64 / static_cast<int>(sizeof(T)) <= columns; c += 64 / sizeof(T))
        for (int w = 0; w < 64 / static_cast<int>(sizeof(T)); w += W)
          stream(to + c + w, load(from + c + w));
    }
    for (; c + W <= columns; c += W) store(to + c, load(from + c));
    if (c < columns) copy_some(to + c, from + c, columns - c);
  }
}

#if defined(__x86_64__)
// A square of a tile, turned in registers: rows from `from`, columns to `to`.
template <bool kStream>
GPBO_HD void turn(const float* from, int stride, float* to, int64_t to_stride) {
  __m128 a = _mm_loadu_ps(from), b = _mm_loadu_ps(from + stride);
  __m128 c = _mm_loadu_ps(from + 2 * stride), d = _mm_loadu_ps(from + 3 * stride);
  _MM_TRANSPOSE4_PS(a, b, c, d);
  _mm_storeu_ps(to, a), _mm_storeu_ps(to + to_stride, b);
  _mm_storeu_ps(to + 2 * to_stride, c), _mm_storeu_ps(to + 3 * to_stride, d);
}
#if defined(__AVX512F__)
constexpr int kTurnRows = 8;
template <bool kStream>
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
  const auto save = [](double* p, __m512d v) { kStream ? stream(p, v) : store(p, v); };
  save(to, _mm512_permutex2var_pd(ab0, low, cd0));
  save(to + to_stride, _mm512_permutex2var_pd(ab1, low, cd1));
  save(to + 2 * to_stride, _mm512_permutex2var_pd(ab0, high, cd0));
  save(to + 3 * to_stride, _mm512_permutex2var_pd(ab1, high, cd1));
}
#elif defined(__AVX2__)
constexpr int kTurnRows = 4;
template <bool kStream>
GPBO_HD void turn(const double* from, int stride, double* to, int64_t to_stride) {
  const __m256d a = _mm256_loadu_pd(from), b = _mm256_loadu_pd(from + stride);
  const __m256d c = _mm256_loadu_pd(from + 2 * stride), d = _mm256_loadu_pd(from + 3 * stride);
  const __m256d ab0 = _mm256_unpacklo_pd(a, b), ab1 = _mm256_unpackhi_pd(a, b);
  const __m256d cd0 = _mm256_unpacklo_pd(c, d), cd1 = _mm256_unpackhi_pd(c, d);
  const auto save = [](double* p, __m256d v) { kStream ? stream(p, v) : store(p, v); };
  save(to, _mm256_permute2f128_pd(ab0, cd0, 0x20));
  save(to + to_stride, _mm256_permute2f128_pd(ab1, cd1, 0x20));
  save(to + 2 * to_stride, _mm256_permute2f128_pd(ab0, cd0, 0x31));
  save(to + 3 * to_stride, _mm256_permute2f128_pd(ab1, cd1, 0x31));
}
#else
constexpr int kTurnRows = 2;
template <bool kStream>
GPBO_HD void turn(const double* from, int stride, double* to, int64_t to_stride) {
  for (int c = 0; c < 4; c += 2) {
    const __m128d a = _mm_loadu_pd(from + c), b = _mm_loadu_pd(from + stride + c);
    _mm_storeu_pd(to + c * to_stride, _mm_unpacklo_pd(a, b));
    _mm_storeu_pd(to + (c + 1) * to_stride, _mm_unpackhi_pd(a, b));
  }
}
#endif
#endif

template <bool kStream, typename T>
void put_turned_as(const T* tile, int rows, int columns, int stride, T* out, int64_t out_stride) {
  int turned_rows = 0, turned_columns = 0;
#if defined(__x86_64__)
  constexpr int kRows = sizeof(T) == 8 ? kTurnRows : 4;
  turned_rows = rows / kRows * kRows, turned_columns = columns / 4 * 4;
  for (int c = 0; c < turned_columns; c += 4)
    for (int r = 0; r < turned_rows; r += kRows)
      turn<kStream>(tile + r * stride + c, stride, out + c * out_stride + r, out_stride);
#endif
  for (int c = 0; c < columns; ++c)
    for (int r = c < turned_columns ? turned_rows : 0; r < rows; ++r)
      out[c * out_stride + r] = tile[r * stride + c];
}

template <typename T>
void put(const T* tile, int rows, int columns, int stride, bool streams, T* out,
         int64_t out_stride) {
  streams ? put_as<true>(tile, rows, columns, stride, out, out_stride)
          : put_as<false>(tile, rows, columns, stride, out, out_stride);
}

template <typename T>
void put_turned(const T* tile, int rows, int columns, int stride, bool streams, T* out,
                int64_t out_stride) {
  streams ? put_turned_as<true>(tile, rows, columns, stride, out, out_stride)
          : put_turned_as<false>(tile, rows, columns, stride, out, out_stride);
}

}  // namespace GPBO_ISA
}  // namespace gpbo
