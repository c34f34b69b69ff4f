// The loops of tile.h for one instruction set. Built several times, with GPBO_ISA for the namespace
// and GPBO_BYTES for the size of a register.

#include "../formula.h"
#include "distances.h"
#include "evaluate.h"
#include "functions.h"
#include "inverse.h"
#include "multiply.h"
#include "put.h"
#include "slopes.h"
#include "tile.h"
#include "values.h"

// After functions.h: its functions for vectors of numbers are what the formulas call.

namespace gpbo {
namespace GPBO_ISA {
namespace {

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
void plus(T* x, const T* y, int64_t count) {
  for (int64_t p = 0; p < count; ++p) x[p] += y[p];
}

template <typename T>
void exp_of(const T* x, int64_t count, T* result) {
  constexpr int kCount = Lanes<T>::kCount;
  int64_t p = 0;
  for (; p + kCount <= count; p += kCount) store_lanes(result + p, exp_minus(-load_lanes(x + p)));
  T rest[kCount] = {};
  for (int64_t q = p; q < count; ++q) rest[q - p] = x[q];
  store_lanes(rest, exp_minus(-load_lanes(rest)));
  for (int64_t q = p; q < count; ++q) result[q] = rest[q - p];
}

template <typename T>
constexpr Loops<T> kLoops = {GPBO_NAME,
                             kWidth<T>,
                             {values<Matern52, T>, values<Matern32, T>, values<Matern12, T>,
                              values<Rbf, T>, values<RationalQuadratic, T>},
                             distances<T>,
                             {evaluate<Matern52, T>, evaluate<Matern32, T>, evaluate<Matern12, T>,
                              evaluate<Rbf, T>, evaluate<RationalQuadratic, T>},
                             put<T>,
                             put_turned<T>,
                             {contract<Matern52, T>, contract<Matern32, T>, contract<Matern12, T>,
                              contract<Rbf, T>, contract<RationalQuadratic, T>},
                             pull<T>,
                             gather<T>,
                             outer<T>,
                             multiply<T>,
                             add_turned<T>,
                             plus<T>,
                             invert<T>,
                             exp_of<T>};

}  // namespace

extern const Loops<double> kLoopsDouble = kLoops<double>;
extern const Loops<float> kLoopsFloat = kLoops<float>;

}  // namespace GPBO_ISA
}  // namespace gpbo
