// Similarities of vectors, and their picture in two dimensions.

/**
 * @typedef {object} Pair two texts and how similar they are
 * @property {number} first
 * @property {number} second
 * @property {number} score
 */

/**
 * Return the cosine of every pair of vectors; 0 for a vector of zeros.
 *
 * @param {number[][]} vectors
 * @returns {number[][]} square and symmetric
 */
export function similarities(vectors) {
  const lengths = vectors.map((vector) => Math.sqrt(dot(vector, vector)) || 1);
  return vectors.map((one, row) =>
    vectors.map((other, column) => dot(one, other) / (lengths[row] * lengths[column])));
}

/**
 * Return the most similar pairs of different texts, the most similar first.
 *
 * @param {number[][]} matrix from `similarities`
 * @param {number} count
 * @returns {Pair[]}
 */
export function nearestPairs(matrix, count) {
  const pairs = [];
  for (let first = 0; first < matrix.length; first += 1) {
    for (let second = first + 1; second < matrix.length; second += 1) {
      pairs.push({ first, second, score: matrix[first][second] });
    }
  }
  return pairs.sort((one, other) => other.score - one.score).slice(0, count);
}

/**
 * Place vectors in the plane that shows most of their variance (principal components).
 *
 * The components come from the Gram matrix, which has as many rows as there are texts, not as there are values.
 *
 * @param {number[][]} vectors
 * @returns {{points: [number, number][], share: number}} one point a vector, and the share of the variance they show
 */
export function project(vectors) {
  const gram = centredGram(vectors);
  const total = gram.reduce((sum, row, index) => sum + row[index], 0);
  const points = vectors.map(() => /** @type {[number, number]} */ ([0, 0]));
  let shown = 0;
  for (const axis of [0, 1]) {
    const { value, vector } = largestEigenvector(gram);
    if (value <= 1e-12) break;
    vector.forEach((weight, row) => {
      points[row][axis] = weight * Math.sqrt(value);
      vector.forEach((other, column) => {
        gram[row][column] -= value * weight * other;
      });
    });
    shown += value;
  }
  return { points, share: total > 1e-12 ? shown / total : 1 };
}

/**
 * @param {number[]} one
 * @param {number[]} other
 */
function dot(one, other) {
  let sum = 0;
  for (let index = 0; index < one.length; index += 1) sum += one[index] * other[index];
  return sum;
}

/** @param {number[][]} vectors */
function centredGram(vectors) {
  const count = vectors.length;
  const gram = vectors.map((one) => vectors.map((other) => dot(one, other)));
  const means = gram.map((row) => row.reduce((sum, value) => sum + value, 0) / count);
  const mean = means.reduce((sum, value) => sum + value, 0) / count;
  return gram.map((row, first) => row.map((value, second) => value - means[first] - means[second] + mean));
}

/**
 * Return the eigenvector of the largest eigenvalue by power iteration; its largest entry is positive, so that the same
 * texts always give the same picture.
 *
 * @param {number[][]} matrix symmetric, no eigenvalue negative
 */
function largestEigenvector(matrix) {
  let vector = matrix.map((row, index) => row[index] + 1e-3 * (index + 1));
  let value = 0;
  for (let round = 0; round < 500; round += 1) {
    const next = matrix.map((row) => dot(row, vector));
    const length = Math.sqrt(dot(next, next));
    if (length < 1e-15) return { value: 0, vector };
    const unit = next.map((each) => each / length);
    const moved = Math.abs(length - value);
    vector = unit;
    value = length;
    if (round > 10 && moved < 1e-12 * length) break;
  }
  const largest = vector.reduce((best, each) => (Math.abs(each) > Math.abs(best) ? each : best), 0);
  return { value, vector: largest < 0 ? vector.map((each) => -each) : vector };
}
