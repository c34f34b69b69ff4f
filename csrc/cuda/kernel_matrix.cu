// Kernel matrices on a GPU.
//
// In the symmetric case only tiles on and above the diagonal are computed, the others are mirrored
// through shared memory. Every element is summed by one thread in one order.

#include "tile.h"

namespace gpbo {
namespace {

template <typename T>
struct Results {
  T *value, *slope, *by_shape;
  const T* outputscale;
  int64_t outputscale_batch;
  const T* diagonal;
  int64_t diagonal_batch, diagonal_row;
};

// Writes the tile that starts at (i, j), and its mirror image where there is one. `turn` is shared.
template <typename T>
__device__ void store(const Problem<T>& p, T* matrices, int64_t batch, int64_t i, int64_t j,
                      const T* result, T (*turn)[kTile + 1]) {
  const int64_t n = p.x1.count, m = p.x2.count;
  T* out = matrices + batch * n * m;
  for (int q = 0; q < kPerThread; ++q) {
    const int64_t row = i + threadIdx.y + q * kRowsOfThreads, column = j + threadIdx.x;
    if (row < n && column < m) out[row * m + column] = result[q];
  }
  if (!p.symmetric || i == j) return;
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
__global__ void __launch_bounds__(kThreads)
    kernel_matrix(const Problem<T> p, const Results<T> out) {
  __shared__ T a[kDepth][kTile + 1], b[kDepth][kTile + 1], turn[kTile][kTile + 1];
  const int64_t columns = p.x2.tiles(), tiles = p.x1.tiles() * columns;
  for (int64_t t = blockIdx.x; t < p.batch * tiles; t += gridDim.x) {
    const int64_t batch = t / tiles;
    const int64_t i = t % tiles / columns * kTile, j = t % tiles % columns * kTile;
    if (p.symmetric && j < i) continue;
    T r2[kPerThread], value[kPerThread], slope[kPerThread], by_shape[kPerThread];
    distances(p, p.x1, p.x2, batch, i, j, a, b, r2);
    const T shape = p.shape_of(batch);
    const T scale = out.outputscale ? out.outputscale[batch * out.outputscale_batch] : T(1);
    for (int q = 0; q < kPerThread; ++q) {
      Kernel::at(Kernel::argument(r2[q], shape), shape, value[q], slope[q], by_shape[q]);
      value[q] *= scale;
      const int64_t row = i + threadIdx.y + q * kRowsOfThreads;
      if (out.diagonal && row == j + threadIdx.x && row < p.x1.count && row < p.x2.count)
        value[q] += out.diagonal[batch * out.diagonal_batch + row * out.diagonal_row];
    }
    if (out.value) store(p, out.value, batch, i, j, value, turn);
    if (out.slope) store(p, out.slope, batch, i, j, slope, turn);
    if (out.by_shape) store(p, out.by_shape, batch, i, j, by_shape, turn);
  }
}

template <typename T>
bool start(int kernel, const gpbo_pairs& pairs, const gpbo_matrix& m, cudaStream_t stream) {
  const Problem<T> p(pairs);
  const Results<T> out{static_cast<T*>(m.value),
                       static_cast<T*>(m.slope),
                       static_cast<T*>(m.by_shape),
                       static_cast<const T*>(m.outputscale),
                       m.outputscale_batch,
                       static_cast<const T*>(m.diagonal),
                       m.diagonal_batch,
                       m.diagonal_row};
  const int64_t tiles = p.batch * p.x1.tiles() * p.x2.tiles();
  const dim3 grid(static_cast<unsigned>(std::min(tiles, kMostBlocks)));
  return for_kernel(kernel, [&](auto which) {
    kernel_matrix<decltype(which)><<<grid, dim3(kTile, kRowsOfThreads), 0, stream>>>(p, out);
  });
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

int gpbo_cuda_kernel_matrix(int kernel, const gpbo_pairs* pairs, const gpbo_matrix* matrix,
                            int device, void* stream) {
  if (!gpbo::valid(kernel, pairs) || !matrix) return GPBO_BAD_ARGUMENT;
  if (gpbo::empty(*pairs)) return GPBO_OK;
  return gpbo::for_dtype(*pairs, device, [&](auto number) {
    return gpbo::start<decltype(number)>(kernel, *pairs, *matrix,
                                         static_cast<cudaStream_t>(stream));
  });
}

}  // extern "C"
