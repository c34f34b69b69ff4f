// K V on the CPU without K: tiles of K are multiplied while they are in cache.
//
// The tiles are computed turned, with the points of x1 in the lanes, so that the sums over the
// points of x2 need no step across lanes. Each row of tiles is summed by one thread in one order.

#include "problem.h"
#include "workers.h"

namespace gpbo {
namespace {

template <typename T>
struct Job {
  const Loops<T>& loops;
  Problem<T> problem;
  typename Loops<T>::Evaluate evaluate;
  const gpbo_product& asked;
};

template <typename T>
class Worker {
 public:
  explicit Worker(const Job<T>& job) : job_(job), blocks_(job.problem) {}

  bool allocate() {
    const int64_t tile = kPairs + kPadding, part = kBlock * job_.asked.columns;
    const int64_t blocks = Blocks<T>::size(job_.problem);
    if (!scratch_.allocate(2 * tile + part * (1 + job_.problem.x2.blocks()) + blocks)) return false;
    r2_ = scratch_.data();
    value_ = r2_ + tile;
    sum_ = value_ + tile;
    v_ = sum_ + part;
    points_ = v_ + part * job_.problem.x2.blocks();
    return true;
  }

  void run(int64_t unit) {
    const Problem<T>& p = job_.problem;
    const int64_t batch = unit / p.x1.blocks(), r = unit % p.x1.blocks();
    const int64_t columns = job_.asked.columns;
    if (batch != batch_) start(batch);
    const int rows = p.x1.at(r), stride = padded(rows, job_.loops.width);
    std::fill_n(sum_, kBlock * columns, T(0));
    for (int64_t c = 0; c < p.x2.blocks(); ++c) {
      const int count = p.x2.at(c), whole = (count + 3) / 4 * 4;
      job_.loops.distances(blocks_.second(c), blocks_.first(r), count, stride, p.d, r2_);
      job_.evaluate(r2_, whole * stride, p.shape_of(batch), T(1), value_, nullptr, nullptr);
      job_.loops.gather(v_ + c * kBlock * columns, value_, count, stride, columns, sum_);
    }
    T* out = static_cast<T*>(job_.asked.product) + (batch * p.x1.count + r * kBlock) * columns;
    for (int i = 0; i < rows; ++i)
      for (int64_t q = 0; q < columns; ++q) out[i * columns + q] = sum_[q * kBlock + i];
  }

 private:
  void start(int64_t batch) {
    const Problem<T>& p = job_.problem;
    const gpbo_product& asked = job_.asked;
    batch_ = batch;
    blocks_.start(batch, points_);
    const T* v = static_cast<const T*>(asked.v) + batch * asked.v_batch;
    std::fill_n(v_, kBlock * asked.columns * p.x2.blocks(), T(0));
    for (int64_t i = 0; i < p.x2.count; ++i)
      for (int64_t q = 0; q < asked.columns; ++q)
        v_[(i / kBlock * asked.columns + q) * kBlock + i % kBlock] =
            v[i * asked.v_row + q * asked.v_column];
  }

  const Job<T>& job_;
  Blocks<T> blocks_;
  Scratch<T> scratch_;
  int64_t batch_ = -1;
  T *r2_, *value_, *sum_, *v_, *points_;
};

template <typename T>
int start(int kernel, const gpbo_pairs& p, const gpbo_product& asked, int threads) {
  const Loops<T>& chosen = loops<T>();
  const Job<T> job{chosen, Problem<T>(p), chosen.evaluate[kernel], asked};
  const int status = job.problem.check();
  return status == GPBO_OK ? run_units<Worker<T>>(job, p.batch * job.problem.x1.blocks(), threads)
                           : status;
}

}  // namespace
}  // namespace gpbo

extern "C" int gpbo_cpu_product(int kernel, const gpbo_pairs* pairs, const gpbo_product* product,
                                int threads) {
  if (!gpbo::valid(kernel, pairs) || !product || product->columns < 0) return GPBO_BAD_ARGUMENT;
  return pairs->dtype == GPBO_FLOAT32 ? gpbo::start<float>(kernel, *pairs, *product, threads)
                                      : gpbo::start<double>(kernel, *pairs, *product, threads);
}
