// A weight for every pair, contracted with the derivatives of the kernel matrix, on a GPU.
//
// With w = weight * slope, everything follows from the pull of each point, sum over j of
// w_ij (a_i - b_j), in both directions: the derivative by a point is twice that over the
// lengthscale, and the one by a lengthscale collects coordinate times pull. A block of threads owns
// the pulls of kSide points and walks over all the others in one order, so nothing is added
// atomically; a second kernel adds up what blocks left.

#include "tile.h"

namespace gpbo {
namespace {

using Square = Tile<32, 4, 1>;
constexpr int kSide = Square::kHeight;
static_assert(Square::kWidth == kSide && Square::kAcross == kSide, "a thread has a column");

template <typename T>
struct Sums {
  const T* weight;
  int64_t weight_batch, weight_row, weight_column;
  const T *left, *right;
  int64_t rank;
  bool mirrored;
  T *by_lengthscale, *by_shape, *total, *by_x1, *by_x2;
  T *pull1, *pull2, *parts;  // (batch, n, d), (batch, m, d), (batch, tiles of x1, 2)

  __device__ T at(int64_t batch, int64_t i, int64_t j, int64_t n, int64_t m) const {
    T sum = weight ? weight[batch * weight_batch + i * weight_row + j * weight_column] : T(0);
    for (int64_t q = 0; q < rank; ++q)
      sum += left[(batch * n + i) * rank + q] * right[(batch * m + j) * rank + q];
    return sum;
  }
};

// The sum of one number of each thread, in a fixed order; `lanes` is shared.
template <typename T>
__device__ T sum_of_block(T mine, T* lanes) {
  const int thread = threadIdx.y * blockDim.x + threadIdx.x;
  __syncthreads();
  lanes[thread] = mine;
  for (int half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (thread < half) lanes[thread] += lanes[thread + half];
  }
  __syncthreads();
  return lanes[0];
}

// kTurned: the pulls of x2, for which the points change places.
template <typename Kernel, bool kTurned, typename T>
__global__ void __launch_bounds__(kThreads) pull(const Problem<T> p, const Sums<T> s) {
  __shared__ Part<T, kSide> a, b;
  __shared__ T w[kSide][kSide + 1], lanes[kThreads];
  const Points<T> mine = kTurned ? p.x2 : p.x1, others = kTurned ? p.x1 : p.x2;
  const int64_t n = p.x1.count, m = p.x2.count;
  T* pulls = kTurned ? s.pull2 : s.pull1;
  const int64_t tiles = tiles_of(mine.count, kSide);
  for (int64_t t = blockIdx.x; t < p.batch * tiles; t += gridDim.x) {
    const int64_t batch = t / tiles, i = t % tiles * kSide;
    T total = T(0), by_shape = T(0);
    for (int64_t j = 0; j < others.count; j += kSide) {
      T r2[Square::kRows][1];
      distances<Square>(p, mine, others, batch, i, j, a, b, r2);
      for (int q = 0; q < Square::kRows; ++q) {
        const int local = threadIdx.y + q * Square::kDown;
        const int64_t row = i + local, column = j + threadIdx.x;
        T weight = T(0), both = T(0), value, slope, shape;
        if (row < mine.count && column < others.count) {
          weight = kTurned ? s.at(batch, column, row, n, m) : s.at(batch, row, column, n, m);
          both = !p.symmetric ? weight
                 : s.mirrored ? T(2) * weight
                              : weight + s.at(batch, column, row, n, m);
        }
        Kernel::at(Kernel::argument(r2[q][0], p.shape_of(batch)), p.shape_of(batch), value, slope,
                   shape);
        if (row < mine.count && column < others.count) {
          total += weight * value;
          by_shape += weight * shape;
          w[local][threadIdx.x] = both * slope;
        } else {
          w[local][threadIdx.x] = T(0);
        }
      }
      for (int64_t depth = 0; pulls && depth < p.d; depth += kDepth) {
        __syncthreads();
        load<kSide>(p, mine, batch, i, depth, a);
        load<kSide>(p, others, batch, j, depth, b);
        __syncthreads();
        const int64_t row = i + threadIdx.x;
        for (int k = threadIdx.y; k < kDepth; k += Square::kDown) {
          if (row >= mine.count || depth + k >= p.d) continue;
          T sum = T(0);
          for (int c = 0; c < kSide; ++c) sum += w[threadIdx.x][c] * (a[k][threadIdx.x] - b[k][c]);
          T* out = pulls + (batch * mine.count + row) * p.d + depth + k;
          *out = j == 0 ? sum : *out + sum;
        }
      }
    }
    if (kTurned) continue;
    total = sum_of_block(total, lanes);
    by_shape = sum_of_block(by_shape, lanes);
    if (threadIdx.x == 0 && threadIdx.y == 0) s.parts[2 * t] = total, s.parts[2 * t + 1] = by_shape;
  }
}

// Coordinate times pull, summed over the points of one matrix by all threads of a block.
template <typename T>
__device__ T moment(const Problem<T>& p, const Points<T>& points, const T* pulls, int64_t batch,
                    int64_t k, T* lanes) {
  const T origin = p.origin(batch, k), inverse = T(1) / p.length(batch, k);
  T sum = T(0);
  for (int64_t i = threadIdx.x; i < points.count; i += kThreads) {
    const T x = points.data[batch * points.batch + i * points.row + k * points.column];
    sum += (x - origin) * inverse * pulls[(batch * points.count + i) * p.d + k];
  }
  return sum_of_block(sum, lanes);
}

template <typename T>
__device__ void spread(const Problem<T>& p, const Points<T>& points, const T* pulls, T* out,
                       int64_t batch, int64_t k) {
  for (int64_t i = threadIdx.x; i < points.count; i += kThreads) {
    const int64_t at = (batch * points.count + i) * p.d + k;
    out[at] = T(2) * (pulls[at] / p.length(batch, k));
  }
}

// A block for each column of each matrix, and one more for the two numbers.
template <typename T>
__global__ void __launch_bounds__(kThreads) finish(const Problem<T> p, const Sums<T> s) {
  __shared__ T lanes[kThreads];
  for (int64_t t = blockIdx.x; t < p.batch * (p.d + 1); t += gridDim.x) {
    const int64_t batch = t / (p.d + 1), k = t % (p.d + 1);
    if (k == p.d) {
      T sums[2] = {T(0), T(0)};
      const int64_t tiles = tiles_of(p.x1.count, kSide);
      for (int64_t i = threadIdx.x; i < tiles; i += kThreads)
        for (int q = 0; q < 2; ++q) sums[q] += s.parts[2 * (batch * tiles + i) + q];
      for (int q = 0; q < 2; ++q) sums[q] = sum_of_block(sums[q], lanes);
      if (threadIdx.x == 0 && s.total) s.total[batch] = sums[0];
      if (threadIdx.x == 0 && s.by_shape) s.by_shape[batch] = sums[1];
      continue;
    }
    if (s.by_lengthscale) {
      T sum = moment(p, p.x1, s.pull1, batch, k, lanes);
      if (!p.symmetric) sum += moment(p, p.x2, s.pull2, batch, k, lanes);
      if (threadIdx.x == 0) s.by_lengthscale[batch * p.d + k] = T(-2) * (sum / p.length(batch, k));
    }
    if (s.by_x1) spread(p, p.x1, s.pull1, s.by_x1, batch, k);
    if (s.by_x2 && !p.symmetric) spread(p, p.x2, s.pull2, s.by_x2, batch, k);
  }
}

template <typename T>
bool start(int kernel, const gpbo_pairs& pairs, const gpbo_contraction& c, cudaStream_t stream) {
  const Problem<T> p(pairs);
  T* partial = static_cast<T*>(c.partial);
  const int64_t second = p.symmetric ? 0 : p.batch * p.x2.count * p.d;
  Sums<T> s{static_cast<const T*>(c.weight),
            c.weight_batch,
            c.weight_row,
            c.weight_column,
            static_cast<const T*>(c.left),
            static_cast<const T*>(c.right),
            c.rank,
            c.mirrored != 0,
            static_cast<T*>(c.by_lengthscale),
            static_cast<T*>(c.by_shape),
            static_cast<T*>(c.total),
            static_cast<T*>(c.by_x1),
            static_cast<T*>(c.by_x2),
            partial,
            partial + p.batch * p.x1.count * p.d,
            partial + p.batch * p.x1.count * p.d + second};
  if (!(c.by_lengthscale || c.by_x1)) s.pull1 = nullptr;
  if (!(c.by_lengthscale || c.by_x2)) s.pull2 = nullptr;
  // Where there is no pair, the pulls are 0 and no block would write them.
  if (empty(pairs))
    cudaMemsetAsync(partial, 0, (p.batch * p.x1.count * p.d + second) * sizeof(T), stream);
  const bool known = for_kernel(kernel, [&](auto which) {
    using Kernel = decltype(which);
    launch(pull<Kernel, false, T>, p.batch * tiles_of(p.x1.count, kSide), kSide, stream, p, s);
    if (s.pull2 && !p.symmetric)
      launch(pull<Kernel, true, T>, p.batch * tiles_of(p.x2.count, kSide), kSide, stream, p, s);
  });
  if (known) launch(finish<T>, p.batch * (p.d + 1), kThreads, stream, p, s);
  return known;
}

}  // namespace
}  // namespace gpbo

extern "C" {

int64_t gpbo_cuda_contract_scratch(const gpbo_pairs* pairs, const gpbo_contraction* sums) {
  if (!gpbo::valid(GPBO_RBF, pairs) || !sums) return 0;
  const int64_t tiles = gpbo::tiles_of(pairs->n, gpbo::kSide);
  return pairs->batch * ((pairs->n + (pairs->symmetric ? 0 : pairs->m)) * pairs->d + 2 * tiles) + 1;
}

int gpbo_cuda_contract(int kernel, const gpbo_pairs* pairs, const gpbo_contraction* sums,
                       int device, void* stream) {
  if (!gpbo::valid(kernel, pairs) || !sums || sums->rank < 0) return GPBO_BAD_ARGUMENT;
  if (pairs->batch == 0) return GPBO_OK;
  if (!sums->partial) return GPBO_BAD_ARGUMENT;
  return gpbo::for_dtype(*pairs, device, [&](auto number) {
    return gpbo::start<decltype(number)>(kernel, *pairs, *sums, static_cast<cudaStream_t>(stream));
  });
}

}  // extern "C"
