/**
 * A batch in pieces, one script each: other clients of Redis get their turn between them. Their size is fixed. Round trips cannot
 * tell how long Redis was held: sized by them, pieces shrank to a few entries on a distant or busy server, and the fixed cost of
 * each made it busier still.
 */

/** Most entries of one script: one to two milliseconds of Redis' time. */
const pieceSize = 36

/** Pieces of even size, so that the last is no straggler; one at least. */
export function piecesOf<T>(batch: readonly T[]): readonly (readonly T[])[] {
  const count = Math.max(1, Math.ceil(batch.length / pieceSize))
  const size = Math.ceil(batch.length / count)
  return Array.from({ length: count }, (_, index) => batch.slice(index * size, (index + 1) * size))
}
