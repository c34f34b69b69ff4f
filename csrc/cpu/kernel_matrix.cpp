// Kernel matrices on the CPU.
//
// The matrix is cut into tiles. A worker divides the points by the lengthscales once into its
// scratch, then does each tile: values alone on the way to the matrix (values.h), with slopes in
// three steps in cache: squared distances, formula, copy out. In the symmetric case only tiles on
// and above the diagonal are computed, the others are mirrored. Every element is computed alone and
// in one order: neither threads nor tiles change a bit of it.

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

constexpr int64_t kStage = 4;  // tiles along a side of a square
constexpr int64_t kSide = kStage * kBlock, kSquare = kSide * kSide;

template <typename T>
struct Job {
  const Loops<T>& loops;
  Problem<T> problem;
  int kernel;
  T *value, *slope, *by_shape;
  const T* outputscale;
  int64_t outputscale_batch;
  const T* diagonal;
  int64_t diagonal_batch, diagonal_row;
  bool streams;  // results go past the caches
  bool staged;   // by way of a square of tiles, since rows do not begin on lines

  // Rows of tiles that are done together.
  int64_t step() const { return staged ? kStage : 1; }
  int64_t units() const { return problem.batch * per_matrix(); }
  int64_t per_matrix() const { return (problem.x1.blocks() + step() - 1) / step(); }
};

template <typename T>
class Worker {
 public:
  explicit Worker(const Job<T>& job) : job_(job), blocks_(job.problem) {}

  bool allocate() {
    constexpr int64_t kTile = kPairs + kPadding;
    const int64_t tiles = job_.slope || job_.by_shape ? 4 * kTile : job_.staged ? 2 * kSquare : 0;
    if (!scratch_.allocate(tiles + Blocks<T>::size(job_.problem))) return false;
    r2_ = scratch_.data(), value_ = r2_ + kTile, slope_ = value_ + kTile,
    by_shape_ = slope_ + kTile;
    stage_ = r2_, mirror_ = stage_ + kSquare;
    points_ = r2_ + tiles;
    return true;
  }

  // Some rows of tiles of one matrix. Units of the same matrix share what was scaled for it.
  void run(int64_t unit) {
    const Problem<T>& p = job_.problem;
    const int64_t batch = unit / job_.per_matrix(), r = unit % job_.per_matrix() * job_.step();
    if (batch != batch_) {
      batch_ = batch;
      blocks_.start(batch, points_);
    }
    for (int64_t c = p.symmetric ? r : 0; c < p.x2.blocks(); c += job_.step())
      if (job_.slope || job_.by_shape)
        everything(r, c);
      else if (job_.staged)
        stage(r, c);
      else
        values(r, c, at(job_.value, r, c), p.symmetric ? at(job_.value, c, r) : nullptr, p.x2.count,
               job_.streams);
    if (job_.value && job_.diagonal)
      add_diagonal(r * kBlock, std::min((r + job_.step()) * kBlock, p.x1.count));
#if defined(__x86_64__)
    if (job_.streams || job_.staged) _mm_sfence();
#endif
  }

 private:
  // Where tile (r, c) begins in a matrix of the batch.
  T* at(T* matrices, int64_t r, int64_t c) const {
    const int64_t across = job_.problem.x2.count;
    return matrices + (batch_ * job_.problem.x1.count + r * kBlock) * across + c * kBlock;
  }

  T scale() const {
    return job_.outputscale ? job_.outputscale[batch_ * job_.outputscale_batch] : T(1);
  }

  // The values of a tile, to `out` and, where it is not NULL, `turned`, in rows of `across`.
  void values(int64_t r, int64_t c, T* out, T* turned, int64_t across, bool streams) const {
    const Problem<T>& p = job_.problem;
    const Tile<T> tile{
        blocks_.first(r), blocks_.second(c),     p.x1.at(r), p.x2.at(c), p.d,    p.shape_of(batch_),
        scale(),          p.symmetric && r == c, streams,    out,        turned, across};
    job_.loops.values[job_.kernel](tile);
  }

  // A square of tiles from (r, c) on: first to memory in cache, then whole rows of it to the
  // matrix.
  void stage(int64_t r, int64_t c) const {
    const Problem<T>& p = job_.problem;
    const int64_t rows = std::min(kStage, p.x1.blocks() - r);
    const int64_t columns = std::min(kStage, p.x2.blocks() - c);
    const bool diagonal = p.symmetric && r == c;
    T* mirror = diagonal ? stage_ : mirror_;
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = diagonal ? i : 0; j < columns; ++j)
        values(r + i, c + j, stage_ + (i * kSide + j) * kBlock,
               p.symmetric ? mirror + (j * kSide + i) * kBlock : nullptr, kSide, false);
    const auto points = [](const Points<T>& x, int64_t first) {
      return static_cast<int>(std::min(kSide, x.count - first * kBlock));
    };
    const int n = points(p.x1, r), m = points(p.x2, c);
    job_.loops.put(stage_, n, m, kSide, true, at(job_.value, r, c), p.x2.count);
    if (p.symmetric && !diagonal)
      job_.loops.put(mirror_, m, n, kSide, true, at(job_.value, c, r), p.x2.count);
  }

  void everything(int64_t r, int64_t c) const {
    const Problem<T>& p = job_.problem;
    const int rows = p.x1.at(r), stride = padded(p.x2.at(c), job_.loops.width);
    job_.loops.distances(blocks_.first(r), blocks_.second(c), rows, stride, p.d, r2_);
    job_.loops.evaluate[job_.kernel](r2_, rows * stride, p.shape_of(batch_), scale(),
                                     job_.value ? value_ : nullptr, job_.slope ? slope_ : nullptr,
                                     job_.by_shape ? by_shape_ : nullptr);
    store(value_, job_.value, r, c);
    store(slope_, job_.slope, r, c);
    store(by_shape_, job_.by_shape, r, c);
  }

  void store(const T* tile, T* matrices, int64_t r, int64_t c) const {
    if (!matrices) return;
    const Problem<T>& p = job_.problem;
    const int rows = p.x1.at(r), columns = p.x2.at(c), stride = padded(columns, job_.loops.width);
    const int64_t across = p.x2.count;
    job_.loops.put(tile, rows, columns, stride, job_.streams, at(matrices, r, c), across);
    if (p.symmetric)
      job_.loops.put_turned(tile, rows, columns, stride, job_.streams, at(matrices, c, r), across);
  }

  void add_diagonal(int64_t first, int64_t end) const {
    const int64_t across = job_.problem.x2.count;
    T* matrix = job_.value + batch_ * job_.problem.x1.count * across;
    const T* diagonal = job_.diagonal + batch_ * job_.diagonal_batch;
    for (int64_t i = first; i < std::min(end, across); ++i)
      matrix[i * across + i] += diagonal[i * job_.diagonal_row];
  }

  const Job<T>& job_;
  Blocks<T> blocks_;
  Scratch<T> scratch_;
  int64_t batch_ = -1;
  T *r2_, *value_, *slope_, *by_shape_, *stage_, *mirror_, *points_;
};

// Whether a result of so many bytes, in rows of so many, goes past the caches. From 3 MB on that
// spares reading the memory first: 1.6 ms where it was 2.35 at n = 1000, and a Cholesky factor of
// it takes no longer. Rows a multiple of 2 KB apart share the buffers of such writes, and took 1.2
// times as long, so they do it from 24 MB on.
bool passes_caches(int64_t bytes, int64_t row) {
  constexpr int64_t kMegabyte = int64_t{1} << 20;
  return bytes > (row % 2048 == 0 ? 24 : 3) * kMegabyte;
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
  Job<T> job{loops<T>(),
             Problem<T>(p),
             kernel,
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
  if (status != GPBO_OK || empty(p) || !(m.value || m.slope || m.by_shape)) return status;
  const int64_t bytes = p.batch * p.n * p.m * static_cast<int64_t>(sizeof(T));
  const int64_t row = p.m * static_cast<int64_t>(sizeof(T));
  bool lines = row % 64 == 0;  // every row begins on a line
  for (void* result : {m.value, m.slope, m.by_shape})
    lines = lines && reinterpret_cast<uintptr_t>(result) % 64 == 0;
  const bool passes = passes_caches(bytes, row);
  job.streams = passes && lines;
  job.staged = passes && !lines && !m.slope && !m.by_shape;
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
