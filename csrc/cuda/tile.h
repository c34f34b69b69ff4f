// What the kernels of this folder share: the problem as the device sees it, tiles of squared
// distances, and the way onto a device and back.
//
// A tile is some rows of points by some columns of others. A block of threads walks over the
// columns of the points in steps of kDepth: it brings that part of its points into shared memory,
// divided by the lengthscales on the way, and each thread adds to the squared distances of its
// pairs.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>

#define GPBO_ISA cuda
#include "../formula.h"
#include "../pairs.h"

namespace gpbo {

using namespace cuda;

constexpr int kThreads = 256;
constexpr int kDepth = 16;
constexpr int64_t kMostBlocks = 1 << 20;  // more is taken in turns

// How the threads of a block share a tile: thread (x, y) has the pairs of the rows y + q kDown and
// the columns x + c kAcross, for q < Rows and c < Columns.
template <int Across, int Rows, int Columns>
struct Tile {
  static constexpr int kAcross = Across, kDown = kThreads / Across;
  static constexpr int kRows = Rows, kColumns = Columns;
  static constexpr int kHeight = kDown * Rows, kWidth = Across * Columns;
  static_assert(kThreads % kDepth == 0, "a thread loads one column of points");
};

// A part of the points of a tile, column by column; one number more keeps apart what threads write
// at once.
template <typename T, int kPoints>
using Part = T[kDepth][kPoints + 1];

__host__ __device__ constexpr int64_t tiles_of(int64_t count, int size) {
  return (count + size - 1) / size;
}

template <typename T>
struct Points {
  const T* data;
  int64_t count, batch, row, column;
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
  // What coordinates of column k are relative to: the first point's.
  __device__ T origin(int64_t b, int64_t k) const {
    const T first = x1.count > 0 ? x1.data[b * x1.batch + k * x1.column] : T(0);
    return isfinite(first) ? first : T(0);
  }
};

// part[k][i] = column `depth + k` of point `first + i`, relative to the origin and divided by the
// lengthscale; 0 beyond the end. Each thread has one column.
template <int kPoints, typename T>
__device__ inline void load(const Problem<T>& p, const Points<T>& points, int64_t batch,
                            int64_t first, int64_t depth, Part<T, kPoints>& part) {
  const int thread = threadIdx.y * blockDim.x + threadIdx.x, k = thread % kDepth;
  const bool exists = depth + k < p.d;
  const T origin = exists ? p.origin(batch, depth + k) : T(0);
  const T inverse = exists ? T(1) / p.length(batch, depth + k) : T(0);
  const T* column = points.data + batch * points.batch + (depth + k) * points.column;
  for (int i = thread / kDepth; i < kPoints; i += kThreads / kDepth)
    part[k][i] = exists && first + i < points.count
                     ? (column[(first + i) * points.row] - origin) * inverse
                     : T(0);
}

// r2[q][c] = squared distance of this thread's pairs, of points from i on of `first` and from j on
// of `second`. a and b are shared.
template <typename Tile, typename T>
__device__ inline void distances(const Problem<T>& p, const Points<T>& first,
                                 const Points<T>& second, int64_t batch, int64_t i, int64_t j,
                                 Part<T, Tile::kHeight>& a, Part<T, Tile::kWidth>& b,
                                 T (&r2)[Tile::kRows][Tile::kColumns]) {
  for (int q = 0; q < Tile::kRows; ++q)
    for (int c = 0; c < Tile::kColumns; ++c) r2[q][c] = T(0);
  for (int64_t depth = 0; depth < p.d; depth += kDepth) {
    __syncthreads();
    load<Tile::kHeight>(p, first, batch, i, depth, a);
    load<Tile::kWidth>(p, second, batch, j, depth, b);
    __syncthreads();
    const int columns = p.d - depth < kDepth ? static_cast<int>(p.d - depth) : kDepth;
    for (int k = 0; k < columns; ++k) {
      T right[Tile::kColumns];
      for (int c = 0; c < Tile::kColumns; ++c) right[c] = b[k][threadIdx.x + c * Tile::kAcross];
      for (int q = 0; q < Tile::kRows; ++q) {
        const T left = a[k][threadIdx.y + q * Tile::kDown];
        for (int c = 0; c < Tile::kColumns; ++c) {
          const T apart = left - right[c];
          r2[q][c] += apart * apart;
        }
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

// Queues a kernel, in blocks of kThreads threads of which `across` stand side by side.
template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), int64_t blocks, int across, cudaStream_t stream,
            const Arguments&... arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(std::min(std::max<int64_t>(blocks, 1), kMostBlocks)));
  config.blockDim = dim3(across, kThreads / across);
  config.stream = stream;
  cudaLaunchKernelEx(&config, kernel, arguments...);
}

// Runs `call` with a type that stands for the dtype.
template <typename Call>
int for_dtype(const gpbo_pairs& p, int device, Call&& call) {
  const OnDevice on(device);
  if (on.error() != cudaSuccess) return status_of(on.error());
  const bool known = p.dtype == GPBO_FLOAT32 ? call(float{}) : call(double{});
  return known ? status_of(cudaGetLastError()) : GPBO_BAD_ARGUMENT;
}

}  // namespace gpbo
