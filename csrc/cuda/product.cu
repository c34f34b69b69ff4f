// K V on a GPU without K: a block of threads owns kSide rows of the product and walks over the
// points of x2, a tile of K in shared memory at a time.

#include "tile.h"

namespace gpbo {
namespace {

using Square = Tile<32, 4, 1>;
constexpr int kSide = Square::kHeight;
static_assert(Square::kWidth == kSide && Square::kAcross == kSide, "a thread has a column");

template <typename T>
struct Factors {
  const T* v;
  int64_t v_batch, v_row, v_column, columns;
  T* product;
};

template <typename Kernel, typename T>
__global__ void __launch_bounds__(kThreads) multiply(const Problem<T> p, const Factors<T> f) {
  __shared__ Part<T, kSide> a, b;
  __shared__ T tile[kSide][kSide + 1];
  const int64_t tiles = tiles_of(p.x1.count, kSide);
  for (int64_t t = blockIdx.x; t < p.batch * tiles; t += gridDim.x) {
    const int64_t batch = t / tiles, i = t % tiles * kSide;
    const int64_t row = i + threadIdx.x;
    T* out = f.product + (batch * p.x1.count + row) * f.columns;
    if (row < p.x1.count)
      for (int64_t c = threadIdx.y; c < f.columns; c += Square::kDown) out[c] = T(0);
    for (int64_t j = 0; j < p.x2.count; j += kSide) {
      T r2[Square::kRows][1];
      distances<Square>(p, p.x1, p.x2, batch, i, j, a, b, r2);
      __syncthreads();
      for (int q = 0; q < Square::kRows; ++q) {
        T slope, by_shape;
        Kernel::at(Kernel::argument(r2[q][0], p.shape_of(batch)), p.shape_of(batch),
                   tile[threadIdx.y + q * Square::kDown][threadIdx.x], slope, by_shape);
      }
      __syncthreads();
      const int64_t left = p.x2.count - j, most = left < kSide ? left : kSide;
      const T* v = f.v + batch * f.v_batch + j * f.v_row;
      for (int64_t c = threadIdx.y; row < p.x1.count && c < f.columns; c += Square::kDown) {
        T sum = T(0);
        for (int64_t k = 0; k < most; ++k)
          sum += tile[threadIdx.x][k] * v[k * f.v_row + c * f.v_column];
        out[c] += sum;
      }
    }
  }
}

template <typename T>
bool start(int kernel, const gpbo_pairs& pairs, const gpbo_product& asked, cudaStream_t stream) {
  const Problem<T> p(pairs);
  const Factors<T> f{
      static_cast<const T*>(asked.v), asked.v_batch, asked.v_row, asked.v_column, asked.columns,
      static_cast<T*>(asked.product)};
  return for_kernel(kernel, [&](auto which) {
    launch(multiply<decltype(which), T>, p.batch * tiles_of(p.x1.count, kSide), Square::kAcross,
           stream, p, f);
  });
}

}  // namespace
}  // namespace gpbo

extern "C" int gpbo_cuda_product(int kernel, const gpbo_pairs* pairs, const gpbo_product* product,
                                 int device, void* stream) {
  if (!gpbo::valid(kernel, pairs) || !product || product->columns < 0) return GPBO_BAD_ARGUMENT;
  if (pairs->batch == 0 || pairs->n == 0 || product->columns == 0) return GPBO_OK;
  return gpbo::for_dtype(*pairs, device, [&](auto number) {
    return gpbo::start<decltype(number)>(kernel, *pairs, *product,
                                         static_cast<cudaStream_t>(stream));
  });
}
