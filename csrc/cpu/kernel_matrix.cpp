// Kernel matrices on the CPU.
//
// The matrix is cut into tiles. A worker divides the points by the lengthscales once into its
// scratch, then does each tile in three steps in cache: squared distances, formula, copy out. In
// the symmetric case only tiles on and above the diagonal are computed, the others are mirrored.
// Every element is computed alone and in one order: neither threads nor tiles change a bit of it.

#include "problem.h"
#include "workers.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace gpbo {
namespace {

template <typename T>
struct Job {
  const Loops<T>& loops;
  Problem<T> problem;
  typename Loops<T>::Evaluate evaluate;
  T *value, *slope, *by_shape;
  const T* outputscale;
  int64_t outputscale_batch;
  const T* diagonal;
  int64_t diagonal_batch, diagonal_row;
  bool turned;   // x1 and x2 have changed places
  bool streams;  // results go past the caches

  int64_t units() const { return problem.batch * problem.x1.blocks(); }
};

template <typename T>
class Worker {
 public:
  explicit Worker(const Job<T>& job) : job_(job), blocks_(job.problem) {}

  bool allocate() {
    if (!scratch_.allocate(4 * (kPairs + kPadding) + Blocks<T>::size(job_.problem))) return false;
    r2_ = scratch_.data();
    value_ = r2_ + kPairs + kPadding;
    slope_ = value_ + kPairs + kPadding;
    by_shape_ = slope_ + kPairs + kPadding;
    points_ = by_shape_ + kPairs + kPadding;
    return true;
  }

  // One row of tiles of one matrix. Units of the same matrix share what was scaled for it.
  void run(int64_t unit) {
    const Problem<T>& p = job_.problem;
    const int64_t batch = unit / p.x1.blocks(), r = unit % p.x1.blocks();
    if (batch != batch_) {
      batch_ = batch;
      blocks_.start(batch, points_);
    }
    const int rows = p.x1.at(r), strip = std::max(kStrip, job_.loops.width);
    int64_t c = 0;
    if (p.symmetric) {  // of the tile on the diagonal only what is right of it
      for (int s = 0; s < rows; s += strip) run(r, r, s, std::min(strip, rows - s));
      c = r + 1;
    }
    for (; c < p.x2.blocks(); ++c) run(r, c, 0, rows);
#if defined(__x86_64__)
    if (job_.streams) _mm_sfence();
#endif
  }

 private:
  // Of tile (r, c) the rows from `start`, and in a symmetric matrix's diagonal tile the columns
  // from there as well.
  void run(int64_t r, int64_t c, int start, int rows) {
    const Problem<T>& p = job_.problem;
    const int begin = p.symmetric && r == c ? start : 0;
    const int columns = p.x2.at(c) - begin, stride = padded(columns, job_.loops.width);
    const T scale = job_.outputscale ? job_.outputscale[batch_ * job_.outputscale_batch] : T(1);
    const Part part{r * kBlock + start, c * kBlock + begin, rows, columns, stride};
    prefetch(job_.value, part);
    job_.loops.distances(blocks_.first(r) + start, blocks_.second(c) + begin, rows, stride, p.d,
                         r2_);
    job_.evaluate(r2_, rows * stride, p.shape_of(batch_), scale, job_.value ? value_ : nullptr,
                  job_.slope ? slope_ : nullptr, job_.by_shape ? by_shape_ : nullptr);
    if (job_.diagonal && r == c) add_diagonal(part);
    store(value_, job_.value, part);
    store(slope_, job_.slope, part);
    store(by_shape_, job_.by_shape, part);
  }

  // Rows from i and columns from j of the matrix, in a tile.
  struct Part {
    int64_t i, j;
    int rows, columns, stride;
  };

  void add_diagonal(const Part& part) const {
    const T* diagonal = job_.diagonal + batch_ * job_.diagonal_batch;
    for (int i = 0; i < std::min(part.rows, part.columns); ++i)
      value_[i * part.stride + i] += diagonal[(part.i + i) * job_.diagonal_row];
  }

  // Asks for the memory that the tile will be written to, while the tile is computed.
  void prefetch(T* matrices, const Part& part) const {
    if (!matrices || job_.turned || job_.streams) return;
    const Problem<T>& p = job_.problem;
    T* out = matrices + batch_ * p.x1.count * p.x2.count;
    touch(out + part.i * p.x2.count + part.j, part.rows, part.columns);
    if (p.symmetric) touch(out + part.j * p.x2.count + part.i, part.columns, part.rows);
  }

  void touch(const T* out, int rows, int columns) const {
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < columns; j += 64 / static_cast<int>(sizeof(T)))
        __builtin_prefetch(out + i * job_.problem.x2.count + j, 1);
  }

  void store(const T* tile, T* matrices, const Part& part) const {
    if (!matrices) return;
    const Problem<T>& p = job_.problem;
    const auto [i, j, rows, columns, stride] = part;
    T* out = matrices + batch_ * p.x1.count * p.x2.count;
    const int64_t across = job_.turned ? p.x1.count : p.x2.count;
    if (!job_.turned)
      job_.loops.put(tile, rows, columns, stride, job_.streams, out + i * across + j, across);
    if (job_.turned || p.symmetric)
      job_.loops.put_turned(tile, rows, columns, stride, job_.streams, out + j * across + i,
                            across);
  }

  const Job<T>& job_;
  Blocks<T> blocks_;
  Scratch<T> scratch_;
  int64_t batch_ = -1;
  T *r2_, *value_, *slope_, *by_shape_, *points_;
};

// Whether a result of so many bytes, in rows of so many, goes past the caches. From 3 MB on that
// spares reading the memory first: 1.6 ms where it was 2.35 at n = 1000, and a Cholesky factor of
// it takes no longer. Rows a multiple of 2 KB apart share the buffers of such writes, and took 1.2
// times as long, so they do it from 24 MB on; rows that are no whole lines cannot.
bool passes_caches(int64_t bytes, int64_t row) {
  constexpr int64_t kMegabyte = int64_t{1} << 20;
  return row % 64 == 0 && bytes > (row % 2048 == 0 ? 24 : 3) * kMegabyte;
}

// A large result is new memory as a rule: asking for large pages saves most of what it costs to
// get it. Only a hint.
void expect_large(void* data, int64_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr uintptr_t kPage = uintptr_t{2} << 20;
  const auto begin = (reinterpret_cast<uintptr_t>(data) + kPage - 1) / kPage * kPage;
  const auto end =
      (reinterpret_cast<uintptr_t>(data) + static_cast<uintptr_t>(bytes)) / kPage * kPage;
  if (data && end > begin + kPage)
    madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#else
  (void)data, (void)bytes;
#endif
}

template <typename T>
int start(int kernel, const gpbo_pairs& p, const gpbo_matrix& m, int threads) {
  const Loops<T>& chosen = loops<T>();
  Job<T> job{chosen,
             Problem<T>(p),
             chosen.evaluate[kernel],
             static_cast<T*>(m.value),
             static_cast<T*>(m.slope),
             static_cast<T*>(m.by_shape),
             static_cast<const T*>(m.outputscale),
             m.outputscale_batch,
             static_cast<const T*>(m.diagonal),
             m.diagonal_batch,
             m.diagonal_row,
             false,
             false};
  const int status = job.problem.check();
  if (status != GPBO_OK || empty(p)) return status;
  // Columns are padded to whole registers, rows are not: let the short side be the rows.
  job.turned = !job.problem.symmetric && p.m < kBlock && p.m < p.n;
  if (job.turned) std::swap(job.problem.x1, job.problem.x2);
  const int64_t bytes = p.batch * p.n * p.m * static_cast<int64_t>(sizeof(T));
  job.streams = !job.turned && passes_caches(bytes, p.m * static_cast<int64_t>(sizeof(T)));
  for (void* result : {m.value, m.slope, m.by_shape})
    job.streams = job.streams && reinterpret_cast<uintptr_t>(result) % 64 == 0;
  for (void* result : {m.value, m.slope, m.by_shape}) expect_large(result, bytes);
  return run_units<Worker<T>>(job, job.units(), threads);
}

}  // namespace
}  // namespace gpbo

extern "C" {

int gpbo_cpu_abi(void) { return GPBO_ABI; }

const char* gpbo_cpu_status_text(int status) { return gpbo::status_text(status); }

const char* gpbo_cpu_isa(void) { return gpbo::loops<double>().name; }

int gpbo_cpu_exp(int64_t dtype, const void* x, int64_t count, void* result) {
  if (dtype == GPBO_FLOAT64)
    gpbo::loops<double>().exp(static_cast<const double*>(x), count, static_cast<double*>(result));
  else if (dtype == GPBO_FLOAT32)
    gpbo::loops<float>().exp(static_cast<const float*>(x), count, static_cast<float*>(result));
  else
    return GPBO_BAD_ARGUMENT;
  return GPBO_OK;
}

int gpbo_cpu_kernel_matrix(int kernel, const gpbo_pairs* pairs, const gpbo_matrix* matrix,
                           int threads) {
  if (!gpbo::valid(kernel, pairs) || !matrix) return GPBO_BAD_ARGUMENT;
  return pairs->dtype == GPBO_FLOAT32 ? gpbo::start<float>(kernel, *pairs, *matrix, threads)
                                      : gpbo::start<double>(kernel, *pairs, *matrix, threads);
}

}  // extern "C"
