// What the kernels of this folder share: the problem as the device sees it, tiles of squared
// distances, and the way onto a device and back.
//
// A tile is kTile x kTile pairs. A block of threads walks over the columns of the points in steps
// of kDepth: it brings that part of its points into shared memory, divided by the lengthscales on
// the way, and each thread adds to the squared distances of its kPerThread pairs.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>

#define GPBO_ISA cuda
#include "../formula.h"
#include "../pairs.h"

namespace gpbo {

using namespace cuda;

constexpr int kTile = 32;
constexpr int kDepth = 16;
constexpr int kRowsOfThreads = 8;
constexpr int kThreads = kTile * kRowsOfThreads;
constexpr int kPerThread = kTile / kRowsOfThreads;
constexpr int64_t kMostBlocks = 1 << 20;  // more is taken in turns

template <typename T>
struct Points {
  const T* data;
  int64_t count, batch, row, column;

  __host__ __device__ int64_t tiles() const { return (count + kTile - 1) / kTile; }
};

template <typename T>
struct Problem {
  int64_t batch, d;
  Points<T> x1, x2;
  const T* lengthscale;
  int64_t lengthscale_batch, lengthscale_column;
  const T* shape;
  int64_t shape_batch;
  bool symmetric;

  explicit Problem(const gpbo_pairs& p)
      : batch(p.batch),
        d(p.d),
        x1{static_cast<const T*>(p.x1), p.n, p.x1_batch, p.x1_row, p.x1_column},
        x2{static_cast<const T*>(p.x2), p.m, p.x2_batch, p.x2_row, p.x2_column},
        lengthscale(static_cast<const T*>(p.lengthscale)),
        lengthscale_batch(p.lengthscale_batch),
        lengthscale_column(p.lengthscale_column),
        shape(static_cast<const T*>(p.shape)),
        shape_batch(p.shape_batch),
        symmetric(p.symmetric != 0) {
    if (symmetric) x2 = x1;
  }

  __device__ T shape_of(int64_t b) const { return shape ? shape[b * shape_batch] : T(1); }
  __device__ T length(int64_t b, int64_t k) const {
    return positive(lengthscale[b * lengthscale_batch + k * lengthscale_column]);
  }
};

// part[k][i] = column `depth + k` of point `first + i`, relative to the first point of x1 and
// divided by the lengthscale; 0 beyond the end.
template <typename T>
__device__ inline void load(const Problem<T>& p, const Points<T>& points, int64_t batch,
                            int64_t first, int64_t depth, T (*part)[kTile + 1]) {
  const int thread = threadIdx.y * kTile + threadIdx.x;
  for (int e = thread; e < kTile * kDepth; e += kThreads) {
    const int64_t i = first + e / kDepth, k = depth + e % kDepth;
    T scaled = T(0);
    if (i < points.count && k < p.d) {
      const T x = points.data[batch * points.batch + i * points.row + k * points.column];
      const T origin = p.x1.data[batch * p.x1.batch + k * p.x1.column];
      scaled = (x - (isfinite(origin) ? origin : T(0))) * (T(1) / p.length(batch, k));
    }
    part[e % kDepth][e / kDepth] = scaled;
  }
}

// r2[q] = squared distance of points i + threadIdx.y + q kRowsOfThreads of `first` and j +
// threadIdx.x of `second`. a and b are shared.
template <typename T>
__device__ inline void distances(const Problem<T>& p, const Points<T>& first,
                                 const Points<T>& second, int64_t batch, int64_t i, int64_t j,
                                 T (*a)[kTile + 1], T (*b)[kTile + 1], T* r2) {
  for (int q = 0; q < kPerThread; ++q) r2[q] = T(0);
  for (int64_t depth = 0; depth < p.d; depth += kDepth) {
    __syncthreads();
    load(p, first, batch, i, depth, a);
    load(p, second, batch, j, depth, b);
    __syncthreads();
    for (int k = 0; k < kDepth; ++k) {
      const T y = b[k][threadIdx.x];
      for (int q = 0; q < kPerThread; ++q) {
        const T apart = a[k][threadIdx.y + q * kRowsOfThreads] - y;
        r2[q] += apart * apart;
      }
    }
  }
}

inline int status_of(cudaError_t error) {
  return error == cudaSuccess ? GPBO_OK : GPBO_CUDA_ERROR + error;
}

// Makes a device current and gives the caller's back in the end.
class OnDevice {
 public:
  explicit OnDevice(int device) {
    error_ = cudaGetDevice(&before_);
    if (error_ == cudaSuccess && before_ != device) {
      error_ = cudaSetDevice(device);
      changed_ = error_ == cudaSuccess;
    }
  }
  ~OnDevice() {
    if (changed_) cudaSetDevice(before_);
  }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  cudaError_t error() const { return error_; }

 private:
  int before_ = 0;
  bool changed_ = false;
  cudaError_t error_;
};

// Runs `call` with a type that stands for the dtype.
template <typename Call>
int for_dtype(const gpbo_pairs& p, int device, Call&& call) {
  const OnDevice on(device);
  if (on.error() != cudaSuccess) return status_of(on.error());
  const bool known = p.dtype == GPBO_FLOAT32 ? call(float{}) : call(double{});
  return known ? status_of(cudaGetLastError()) : GPBO_BAD_ARGUMENT;
}

}  // namespace gpbo
