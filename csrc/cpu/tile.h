// The inner loops, compiled once for each instruction set (isa.cpp) and picked at run time.
//
// A tile is the pairs of two blocks of at most kBlock points: rows x stride numbers, where stride
// is the number of columns rounded up to whole registers. A block holds its points column by
// column, block[k * kBlock + i], divided by the lengthscales, with zeros where there is no point.
// Every element is computed alone and in one order.
#pragma once

#include <cstdint>

namespace gpbo {

constexpr int kBlock = 32;
constexpr int kPairs = kBlock * kBlock;
constexpr int kStrip = 8;  // rows of a tile on the diagonal that are done at once, at least
constexpr int kKernels = 5;
constexpr int kWidest = 16;   // numbers in a register, at most
constexpr int kPadding = 64;  // numbers that a loop may read and write beyond a tile
constexpr int kPanel = 16;    // pivots that are eliminated in one step, at least
constexpr int kStep = 32;     // and at most
constexpr int kGroup = 128;   // pivots between two updates of a whole matrix, at most

constexpr int kSides = 2;  // right-hand sides, at most

// A symmetric matrix to be inverted with its right-hand sides; see inverse.h. All is padded to
// whole panels: the matrix with the identity, the sides with zeros.
template <typename T>
struct System {
  int64_t n, stride;  // stride: n rounded up to whole panels
  T* matrix;          // (stride, stride)
  T* sides;           // (count, stride)
  int64_t count;
  T* panel;     // (kGroup, stride)
  T* half_log;  // sum of log of the factor's diagonal
  T* products;  // (count, count), lower triangle: sides^T K^-1 sides
};

// A tile of a kernel matrix whose values are wanted and nothing else.
template <typename T>
struct Tile {
  const T *a, *b;  // blocks
  int rows, columns;
  int64_t d;
  T shape, scale;
  bool diagonal;  // a is b: only blocks on and right of the diagonal are computed
  bool streams;   // needs rows on lines of 64 bytes
  T* out;         // where its first value lies in the matrix
  T* turned;      // and where that of its mirror image; or NULL
  int64_t across;
};

// A tile whose weights are contracted. They are 0 where there is no pair, in rows up to a multiple
// of kStrip.
template <typename T>
struct Contraction {
  const T *a, *b;  // blocks
  int rows, stride;
  int64_t d;
  T shape;
  T* weight;              // rows x stride; may change
  bool weighted = false;  // weight becomes weight * slope
  // What is added to, each NULL where it is not wanted: sum of w k(r2), of w times its derivative
  // by the shape, and sums[column][lane], those of w slope (a_column - b_column)^2.
  T *total = nullptr, *by_shape = nullptr, *sums = nullptr;
  // Whole squares of weights that are needed next, `across` from row to row; or NULL. They are
  // asked for meanwhile.
  const T* next[2] = {};
  int64_t across = 0;
};

template <typename T>
struct Loops {
  const char* name;
  int width;
  // scale * k(r2) of every pair.
  using Values = void (*)(const Tile<T>& tile);
  Values values[kKernels];
  // r2 of every pair.
  void (*distances)(const T* a, const T* b, int rows, int stride, int64_t d, T* r2);
  // value = scale * k(r2), slope and by_shape of `count` numbers; those that are NULL are left out,
  // and one of them may be where r2 is.
  using Evaluate = void (*)(const T* r2, int64_t count, T shape, T scale, T* value, T* slope,
                            T* by_shape);
  Evaluate evaluate[kKernels];
  // out[r][c] = tile[r][c], and out[c][r] = tile[r][c], for which `streams` needs rows on lines of
  // 64 bytes.
  using Put = void (*)(const T* tile, int rows, int columns, int stride, bool streams, T* out,
                       int64_t out_stride);
  Put put, put_turned;
  using Contract = void (*)(const Contraction<T>& tile);
  Contract contract[kKernels];
  // out[k][c] += sum over rows of w (b_k - a_k), where out is laid out as a block.
  void (*pull)(const T* a, const T* b, const T* w, int rows, int stride, int64_t d, T* out);
  // out[q][c] += sum over rows of a[q][row] tile[row][c], where a and out are laid out as blocks.
  void (*gather)(const T* a, const T* tile, int rows, int stride, int64_t count, T* out);
  // tile[r][c] += sum over q of a[q][r] b[q][c], blocks of `count` columns.
  void (*outer)(const T* a, const T* b, int rows, int stride, int64_t count, T* tile);
  // out[r][c] = sum over k < depth of a[r * across + k] b[k][c]; b and out have rows of `stride`.
  void (*multiply)(const T* a, int64_t across, int64_t rows, int64_t depth, const T* b, int stride,
                   T* out);
  // out[k][c] += sum over rows of a[r * across + k] b[r][c], for k < depth.
  void (*add_turned)(const T* a, int64_t across, int64_t rows, int64_t depth, const T* b,
                     int stride, T* out);
  // x += y, of `count` numbers.
  void (*plus)(T* x, const T* y, int64_t count);
  // The lower triangle of minus the inverse in place of the matrix, minus the solutions in place
  // of the sides; false where the matrix is not positive definite.
  bool (*invert)(const System<T>& system);
  void (*exp)(const T* x, int64_t count, T* result);
};

// The best that this machine has, found once.
template <typename T>
const Loops<T>& loops();

}  // namespace gpbo
