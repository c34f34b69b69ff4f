// Kernel matrices on a GPU.
//
// The matrix is cut into tiles of kTile x kTile pairs. A block of threads walks over the columns of
// the points in steps of kDepth: it brings that part of its points into shared memory, divided by
// the lengthscales on the way, and each thread adds to the squared distances of its kPerThread
// pairs. In the symmetric case only tiles on and above the diagonal are computed, the others are
// mirrored through shared memory. Every element is summed by one thread in one order.

#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>

#include "../formula.h"
#include "../pairs.h"

namespace gpbo {
namespace {

constexpr int kTile = 32;
constexpr int kDepth = 16;
constexpr int kRowsOfThreads = 8;
constexpr int kThreads = kTile * kRowsOfThreads;
constexpr int kPerThread = kTile / kRowsOfThreads;
constexpr int64_t kMostBlocks = 1 << 20;  // more tiles are taken in turns

template <typename T>
struct Points {
  const T* data;
  int64_t count, batch, row, column;
};

template <typename T>
struct Job {
  int64_t batch, d;
  Points<T> x1, x2;
  const T* lengthscale;
  int64_t lengthscale_batch, lengthscale_column;
  T* value;
  T* slope;
  bool symmetric;
  int64_t tile_rows, tile_columns;
};

// part[k][i] = column `depth + k` of point `first + i`, relative to the first point of x1 and
// divided by the lengthscale; 0 beyond the end.
template <typename T>
__device__ void load(const Job<T>& job, const Points<T>& points, int64_t batch, int64_t first,
                     int64_t depth, T (*part)[kTile + 1]) {
  const int thread = threadIdx.y * kTile + threadIdx.x;
  for (int e = thread; e < kTile * kDepth; e += kThreads) {
    const int64_t i = first + e / kDepth, k = depth + e % kDepth;
    T scaled = T(0);
    if (i < points.count && k < job.d) {
      const T x = points.data[batch * points.batch + i * points.row + k * points.column];
      const T origin = job.x1.data[batch * job.x1.batch + k * job.x1.column];
      const T scale = job.lengthscale[batch * job.lengthscale_batch + k * job.lengthscale_column];
      scaled = (x - (isfinite(origin) ? origin : T(0))) * (T(1) / positive(scale));
    }
    part[e % kDepth][e / kDepth] = scaled;
  }
}

// Writes the tile that starts at (i, j), and its mirror image where there is one. `turn` is shared.
template <typename T>
__device__ void store(const Job<T>& job, T* matrices, int64_t batch, int64_t i, int64_t j,
                      const T* result, T (*turn)[kTile + 1]) {
  const int64_t n = job.x1.count, m = job.x2.count;
  T* out = matrices + batch * n * m;
  for (int q = 0; q < kPerThread; ++q) {
    const int64_t row = i + threadIdx.y + q * kRowsOfThreads, column = j + threadIdx.x;
    if (row < n && column < m) out[row * m + column] = result[q];
  }
  if (!job.symmetric || i == j) return;
  __syncthreads();
  for (int q = 0; q < kPerThread; ++q)
    turn[threadIdx.x][threadIdx.y + q * kRowsOfThreads] = result[q];
  __syncthreads();
  for (int q = 0; q < kPerThread; ++q) {
    const int local = threadIdx.y + q * kRowsOfThreads;
    const int64_t row = j + local, column = i + threadIdx.x;
    if (row < n && column < m) out[row * m + column] = turn[local][threadIdx.x];
  }
}

template <typename Kernel, typename T>
__global__ void __launch_bounds__(kThreads) kernel_matrix(const Job<T> job) {
  __shared__ T a[kDepth][kTile + 1], b[kDepth][kTile + 1], turn[kTile][kTile + 1];
  const int64_t tiles = job.tile_rows * job.tile_columns;
  for (int64_t t = blockIdx.x; t < job.batch * tiles; t += gridDim.x) {
    const int64_t batch = t / tiles;
    const int64_t i = t % tiles / job.tile_columns * kTile,
                  j = t % tiles % job.tile_columns * kTile;
    if (job.symmetric && j < i) continue;
    T r2[kPerThread] = {};
    for (int64_t depth = 0; depth < job.d; depth += kDepth) {
      __syncthreads();
      load(job, job.x1, batch, i, depth, a);
      load(job, job.x2, batch, j, depth, b);
      __syncthreads();
      for (int k = 0; k < kDepth; ++k) {
        const T y = b[k][threadIdx.x];
        for (int q = 0; q < kPerThread; ++q) {
          const T apart = a[k][threadIdx.y + q * kRowsOfThreads] - y;
          r2[q] += apart * apart;
        }
      }
    }
    T result[kPerThread];
    if (job.value) {
      for (int q = 0; q < kPerThread; ++q) result[q] = Kernel::value(r2[q]);
      store(job, job.value, batch, i, j, result, turn);
    }
    if (job.slope) {
      for (int q = 0; q < kPerThread; ++q) result[q] = Kernel::slope(r2[q]);
      store(job, job.slope, batch, i, j, result, turn);
    }
  }
}

int status_of(cudaError_t error) {
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

template <typename T>
int start(int kernel, const gpbo_pairs& p, void* value, void* slope, cudaStream_t stream) {
  const auto points = [](const void* data, int64_t count, int64_t batch, int64_t row,
                         int64_t column) {
    return Points<T>{static_cast<const T*>(data), count, batch, row, column};
  };
  Job<T> job{};
  job.batch = p.batch;
  job.d = p.d;
  job.x1 = points(p.x1, p.n, p.x1_batch, p.x1_row, p.x1_column);
  job.symmetric = p.symmetric != 0;
  job.x2 = job.symmetric ? job.x1 : points(p.x2, p.m, p.x2_batch, p.x2_row, p.x2_column);
  job.lengthscale = static_cast<const T*>(p.lengthscale);
  job.lengthscale_batch = p.lengthscale_batch;
  job.lengthscale_column = p.lengthscale_column;
  job.value = static_cast<T*>(value);
  job.slope = static_cast<T*>(slope);
  job.tile_rows = (p.n + kTile - 1) / kTile;
  job.tile_columns = (p.m + kTile - 1) / kTile;
  const int64_t tiles = job.batch * job.tile_rows * job.tile_columns;
  const dim3 grid(static_cast<unsigned>(std::min(tiles, kMostBlocks)));
  const dim3 block(kTile, kRowsOfThreads);
  switch (kernel) {
    case GPBO_MATERN52:
      kernel_matrix<Matern52><<<grid, block, 0, stream>>>(job);
      break;
    default:
      return GPBO_BAD_ARGUMENT;
  }
  return status_of(cudaGetLastError());
}

}  // namespace
}  // namespace gpbo

extern "C" {

int gpbo_cuda_abi(void) { return GPBO_ABI; }

const char* gpbo_cuda_status_text(int status) {
  if (status >= GPBO_CUDA_ERROR)
    return cudaGetErrorString(static_cast<cudaError_t>(status - GPBO_CUDA_ERROR));
  return gpbo::status_text(status);
}

int gpbo_cuda_supports(int device) {
  const gpbo::OnDevice on(device);
  if (on.error() != cudaSuccess) return gpbo::status_of(on.error());
  cudaFuncAttributes attributes;
  const cudaError_t error =
      cudaFuncGetAttributes(&attributes, gpbo::kernel_matrix<gpbo::Matern52, double>);
  cudaGetLastError();  // not left behind for the next call
  return gpbo::status_of(error);
}

int gpbo_cuda_kernel_matrix(int kernel, const gpbo_pairs* pairs, void* value, void* slope,
                            int device, void* stream) {
  if (!gpbo::valid(pairs)) return GPBO_BAD_ARGUMENT;
  if (gpbo::empty(*pairs) || (!value && !slope)) return GPBO_OK;
  const gpbo::OnDevice on(device);
  if (on.error() != cudaSuccess) return gpbo::status_of(on.error());
  const auto queue = static_cast<cudaStream_t>(stream);
  return pairs->dtype == GPBO_FLOAT32 ? gpbo::start<float>(kernel, *pairs, value, slope, queue)
                                      : gpbo::start<double>(kernel, *pairs, value, slope, queue);
}

}  // extern "C"
