// Kernel matrices on a GPU.
//
// In the symmetric case only tiles on and above the diagonal are computed, the others are mirrored
// through shared memory. Every element is summed by one thread in one order. Whole lines of 128
// bytes are written where rows begin on these: on a large GPU that is the limit, with sixteen pairs
// a thread to keep what comes from shared memory below it.

#include "tile.h"

namespace gpbo {
namespace {

using Square = Tile<16, 4, 4>;
constexpr int kSide = Square::kHeight;
static_assert(Square::kWidth == kSide && Square::kDown == Square::kAcross, "mirrored in strips");

template <typename T>
struct Results {
  T *value, *slope, *by_shape;
  const T* outputscale;
  int64_t outputscale_batch;
  const T* diagonal;
  int64_t diagonal_batch, diagonal_row;
};

// Writes a strip of a tile: the rows from i on, one for each threadIdx.y, and the columns from j
// on. And its mirror image where there is one. `turn` is shared.
template <typename T>
__device__ void store(const Problem<T>& p, T* matrices, int64_t batch, int64_t i, int64_t j,
                      bool mirrored, const T* result, T (*turn)[Square::kDown + 1]) {
  const int64_t n = p.x1.count, m = p.x2.count;
  T* out = matrices + batch * n * m;
  for (int c = 0; c < Square::kColumns; ++c) {
    const int64_t row = i + threadIdx.y, column = j + threadIdx.x + c * Square::kAcross;
    if (row < n && column < m) out[row * m + column] = result[c];
  }
  if (!mirrored) return;
  __syncthreads();
  for (int c = 0; c < Square::kColumns; ++c)
    turn[threadIdx.x + c * Square::kAcross][threadIdx.y] = result[c];
  __syncthreads();
  for (int c = 0; c < Square::kColumns; ++c) {
    const int local = threadIdx.y + c * Square::kDown;
    const int64_t row = j + local, column = i + threadIdx.x;
    if (row < n && column < m) out[row * m + column] = turn[local][threadIdx.x];
  }
}

// How many turns all tiles of a matrix take.
template <typename T>
__host__ __device__ int64_t turns(const Problem<T>& p) {
  const int64_t down = tiles_of(p.x1.count, kSide), across = tiles_of(p.x2.count, kSide);
  return p.symmetric ? (down + 1) / 2 * (down + 1) : down * across;
}

// The tile of a turn, or false where it has none. In the symmetric case the r-th row of the upper
// triangle, which has tiles - r, and the r-th from below, which has r + 1, make one row.
template <typename T>
__device__ bool tile_of(const Problem<T>& p, int64_t turn, int64_t& i, int64_t& j) {
  const int64_t across = tiles_of(p.x2.count, kSide) + (p.symmetric ? 1 : 0);
  i = turn / across, j = turn % across;
  if (p.symmetric) {
    const int64_t tiles = across - 1, own = tiles - i;
    const bool below = j >= own;
    if (below && i == own - 1) return false;  // the middle row stands alone
    if (below) i = own - 1, j -= own;
    j += i;
  }
  i *= kSide, j *= kSide;
  return true;
}

template <typename Kernel, typename T>
__global__ void __launch_bounds__(kThreads, 2)
    kernel_matrix(const Problem<T> p, const Results<T> out) {
  __shared__ Part<T, kSide> a, b;
  __shared__ T turn[kSide][Square::kDown + 1];
  const int64_t each = turns(p);
  for (int64_t t = blockIdx.x; t < p.batch * each; t += gridDim.x) {
    const int64_t batch = t / each;
    int64_t i, j;
    if (!tile_of(p, t % each, i, j)) continue;
    T r2[Square::kRows][Square::kColumns];
    distances<Square>(p, p.x1, p.x2, batch, i, j, a, b, r2);
    const T shape = p.shape_of(batch);
    const T scale = out.outputscale ? out.outputscale[batch * out.outputscale_batch] : T(1);
    const bool mirrored = p.symmetric && i != j;
#pragma unroll  // r2 stays in registers
    for (int q = 0; q < Square::kRows; ++q) {
      const int64_t strip = i + q * Square::kDown, row = strip + threadIdx.y;
      T value[Square::kColumns], slope[Square::kColumns], by_shape[Square::kColumns];
      for (int c = 0; c < Square::kColumns; ++c) {
        Kernel::at(Kernel::argument(r2[q][c], shape), shape, value[c], slope[c], by_shape[c]);
        value[c] *= scale;
        if (out.diagonal && row == j + threadIdx.x + c * Square::kAcross && row < p.x1.count &&
            row < p.x2.count)
          value[c] += out.diagonal[batch * out.diagonal_batch + row * out.diagonal_row];
      }
      if (out.value) store(p, out.value, batch, strip, j, mirrored, value, turn);
      if (out.slope) store(p, out.slope, batch, strip, j, mirrored, slope, turn);
      if (out.by_shape) store(p, out.by_shape, batch, strip, j, mirrored, by_shape, turn);
    }
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
  return for_kernel(kernel, [&](auto which) {
    launch(kernel_matrix<decltype(which), T>, p.batch * turns(p), Square::kAcross, stream, p, out);
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
