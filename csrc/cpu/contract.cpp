// A weight for every pair, contracted with the derivatives of the kernel matrix, on the CPU.
//
// Rows of tiles are dealt to a number of chunks that depends on the problem alone; each chunk sums
// in its own part of `partial`, and the parts are added in their order. So the bits do not depend
// on the threads, and no n x m array is needed beside the weight.

#include <limits>

#include "problem.h"
#include "workers.h"

namespace gpbo {
namespace {

constexpr int64_t kChunks = 16;  // sums of every point are kept so many times, at most

int64_t blocks_of(int64_t count) { return (count + kBlock - 1) / kBlock; }

// Where the sums of a chunk lie in `partial`.
struct Layout {
  int64_t chunks, lengthscale, x1, x2, size;

  Layout(const gpbo_pairs& p, const gpbo_contraction& s) {
    const int64_t rows = blocks_of(p.n);
    chunks = std::max<int64_t>(1, std::min(rows, kChunks / std::max<int64_t>(1, p.batch)));
    lengthscale = 2;
    x1 = lengthscale + p.d * kWidest;
    x2 = x1 + (s.by_x1 ? rows * kBlock * p.d : 0);
    size = x2 + (s.by_x2 && !p.symmetric ? blocks_of(p.m) * kBlock * p.d : 0);
  }
};

template <typename T>
struct Job {
  const Loops<T>& loops;
  Problem<T> problem;
  typename Loops<T>::Contract contract;
  const gpbo_contraction& sums;
  Layout layout;

  const T* left() const { return static_cast<const T*>(sums.left); }
  const T* right() const { return static_cast<const T*>(sums.right); }
  T* partial(int64_t batch, int64_t chunk) const {
    return static_cast<T*>(sums.partial) + (batch * layout.chunks + chunk) * layout.size;
  }
};

template <typename T>
class Worker {
 public:
  explicit Worker(const Job<T>& job) : job_(job), blocks_(job.problem) {}

  bool allocate() {
    const int64_t tile = kPairs + kPadding, side = kBlock * job_.sums.rank;
    if (!scratch_.allocate(2 * tile + 4 * side + Blocks<T>::size(job_.problem))) return false;
    weight_ = scratch_.data();
    turned_ = weight_ + tile;
    side_a_ = turned_ + tile;
    side_b_ = side_a_ + side;
    points_ = side_b_ + side;
    return true;
  }

  void run(int64_t unit) {
    const Problem<T>& p = job_.problem;
    const int64_t batch = unit / job_.layout.chunks, chunk = unit % job_.layout.chunks;
    if (batch != batch_) {
      batch_ = batch;
      blocks_.start(batch, points_);
    }
    T* sums = job_.partial(batch, chunk);
    std::fill_n(sums, job_.layout.size, T(0));
    for (int64_t r = chunk; r < p.x1.blocks(); r += job_.layout.chunks)
      for (int64_t c = p.symmetric ? r : 0; c < p.x2.blocks(); ++c) add(r, c, sums);
  }

 private:
  void add(int64_t r, int64_t c, T* sums) {
    const Problem<T>& p = job_.problem;
    const gpbo_contraction& s = job_.sums;
    const int rows = p.x1.at(r), columns = p.x2.at(c);
    const int stride = padded(columns, job_.loops.width);
    const T *a = blocks_.first(r), *b = blocks_.second(c);
    const Layout& layout = job_.layout;
    read_weight(r, c, rows, columns, stride);
    Contraction<T> tile{a, b, rows, stride, p.d, p.shape_of(batch_), weight_};
    tile.weighted = s.by_x1 || s.by_x2;
    if (s.total) tile.total = sums;
    if (s.by_shape) tile.by_shape = sums + 1;
    if (s.by_lengthscale) tile.sums = sums + layout.lengthscale;
    if (in_rows() && rows == kBlock && (c + 2) * kBlock <= p.x2.count) {
      tile.next[0] = weight(r, c + 1);
      if (p.symmetric && !s.mirrored) tile.next[1] = weight(c + 1, r);
      tile.across = s.weight_row;
    }
    job_.contract(tile);
    T* x1 = sums + layout.x1;
    T* x2 = p.symmetric ? x1 : sums + layout.x2;
    if (p.symmetric ? s.by_x1 : s.by_x2)
      job_.loops.pull(a, b, weight_, rows, stride, p.d, x2 + c * kBlock * p.d);
    if (s.by_x1) {
      const int turned_stride = padded(rows, job_.loops.width);
      std::fill_n(turned_, kPairs, T(0));
      job_.loops.put_turned(weight_, rows, columns, stride, false, turned_, turned_stride);
      job_.loops.pull(b, a, turned_, columns, turned_stride, p.d, x1 + r * kBlock * p.d);
    }
  }

  // Where the weights of a tile begin.
  const T* weight(int64_t r, int64_t c) const {
    const gpbo_contraction& s = job_.sums;
    return static_cast<const T*>(s.weight) + batch_ * s.weight_batch + r * kBlock * s.weight_row +
           c * kBlock * s.weight_column;
  }

  // Whether the loops read them.
  bool in_rows() const {
    return job_.sums.weight && job_.sums.weight_column == 1 &&
           job_.sums.weight_row <= std::numeric_limits<int>::max();
  }

  // The weight of the tile, of both places that its pairs have in a symmetric matrix, and 0 where
  // there is no pair.
  void read_weight(int64_t r, int64_t c, int rows, int columns, int stride) {
    const gpbo_contraction& s = job_.sums;
    const bool twice = job_.problem.symmetric && r != c;
    const bool whole = rows == kBlock && columns == kBlock;
    if (!s.weight || !whole) std::fill_n(weight_, kPairs, T(0));
    if (s.weight) {
      const T *here = weight(r, c), *there = twice ? weight(c, r) : nullptr;
      if (in_rows()) {
        const int across = static_cast<int>(s.weight_row);
        job_.loops.put(here, rows, columns, across, false, weight_, stride);
        if (twice && !s.mirrored) {
          if (!whole) std::fill_n(turned_, kPairs, T(0));
          job_.loops.put_turned(there, columns, rows, across, false, turned_, stride);
          job_.loops.plus(weight_, turned_, rows * stride);
        }
      } else {
        for (int i = 0; i < rows; ++i)
          for (int j = 0; j < columns; ++j) {
            T& out = weight_[i * stride + j] = here[i * s.weight_row + j * s.weight_column];
            if (twice && !s.mirrored) out += there[j * s.weight_row + i * s.weight_column];
          }
      }
    }
    if (s.rank > 0) {
      add_outer(job_.left(), job_.right(), r, c, rows, columns, stride);
      if (twice && !s.mirrored) add_outer(job_.right(), job_.left(), r, c, rows, columns, stride);
    }
    if (twice && s.mirrored) job_.loops.plus(weight_, weight_, rows * stride);
  }

  void add_outer(const T* left, const T* right, int64_t r, int64_t c, int rows, int columns,
                 int stride) {
    const Problem<T>& p = job_.problem;
    const int64_t rank = job_.sums.rank;
    const auto take = [&](const T* from, int64_t points, int64_t block, int count, T* out) {
      from += (batch_ * points + block * kBlock) * rank;
      std::fill_n(out, kBlock * rank, T(0));
      for (int64_t q = 0; q < rank; ++q)
        for (int i = 0; i < count; ++i) out[q * kBlock + i] = from[i * rank + q];
    };
    take(left, p.x1.count, r, rows, side_a_);
    take(right, p.x2.count, c, columns, side_b_);
    job_.loops.outer(side_a_, side_b_, rows, stride, rank, weight_);
  }

  const Job<T>& job_;
  Blocks<T> blocks_;
  Scratch<T> scratch_;
  int64_t batch_ = -1;
  T *weight_, *turned_, *side_a_, *side_b_, *points_;
};

// The chunks of one matrix added up, and what is left to multiply with.
template <typename T>
void finish(const Job<T>& job, int64_t batch) {
  const Problem<T>& p = job.problem;
  const gpbo_contraction& s = job.sums;
  const Layout& layout = job.layout;
  T* sums = job.partial(batch, 0);
  for (int64_t chunk = 1; chunk < layout.chunks; ++chunk) {
    const T* other = job.partial(batch, chunk);
    for (int64_t i = 0; i < layout.size; ++i) sums[i] += other[i];
  }
  if (s.total) static_cast<T*>(s.total)[batch] = sums[0];
  if (s.by_shape) static_cast<T*>(s.by_shape)[batch] = sums[1];
  for (int64_t k = 0; s.by_lengthscale && k < p.d; ++k) {
    T sum = T(0);
    for (int i = 0; i < job.loops.width; ++i)
      sum += sums[layout.lengthscale + k * job.loops.width + i];
    static_cast<T*>(s.by_lengthscale)[batch * p.d + k] = T(-2) * (sum / p.length(batch, k));
  }
  const auto points = [&](void* result, const T* from, int64_t count) {
    T* out = static_cast<T*>(result) + batch * count * p.d;
    for (int64_t i = 0; i < count; ++i)
      for (int64_t k = 0; k < p.d; ++k)
        out[i * p.d + k] =
            T(2) * (from[i / kBlock * kBlock * p.d + k * kBlock + i % kBlock] / p.length(batch, k));
  };
  if (s.by_x1) points(s.by_x1, sums + layout.x1, p.x1.count);
  if (s.by_x2 && !p.symmetric) points(s.by_x2, sums + layout.x2, p.x2.count);
}

template <typename T>
int start(int kernel, const gpbo_pairs& p, const gpbo_contraction& s, int threads) {
  const Loops<T>& chosen = loops<T>();
  const Job<T> job{chosen, Problem<T>(p), chosen.contract[kernel], s, Layout(p, s)};
  int status = job.problem.check();
  if (status == GPBO_OK) status = run_units<Worker<T>>(job, p.batch * job.layout.chunks, threads);
  for (int64_t batch = 0; status == GPBO_OK && batch < p.batch; ++batch) finish(job, batch);
  return status;
}

}  // namespace
}  // namespace gpbo

extern "C" {

int64_t gpbo_cpu_contract_scratch(const gpbo_pairs* pairs, const gpbo_contraction* sums) {
  if (!gpbo::valid(GPBO_RBF, pairs) || !sums) return 0;
  const gpbo::Layout layout(*pairs, *sums);
  return pairs->batch * layout.chunks * layout.size;
}

int gpbo_cpu_contract(int kernel, const gpbo_pairs* pairs, const gpbo_contraction* sums,
                      int threads) {
  if (!gpbo::valid(kernel, pairs) || !sums || sums->rank < 0) return GPBO_BAD_ARGUMENT;
  if (pairs->batch == 0) return GPBO_OK;
  if (!sums->partial) return GPBO_BAD_ARGUMENT;
  return pairs->dtype == GPBO_FLOAT32 ? gpbo::start<float>(kernel, *pairs, *sums, threads)
                                      : gpbo::start<double>(kernel, *pairs, *sums, threads);
}

}  // extern "C"
