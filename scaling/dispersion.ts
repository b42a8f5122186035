/**
 * The index of dispersion of arrivals: the variance of a count divided by its mean. It is 1 for a Poisson stream, and about n for one
 * that comes in clumps of n. It uses neighbouring counts, so that a growing load does not look erratic. It takes the median of
 * their differences, so that a step or an occasional batch does not look erratic, either.
 */
import type { Arrival } from './arrivalhistory.ts'

/** With fewer differences than this a median says little. */
const leastDifferences = 8
/** The median of the square of a standard normal, whose mean is 1. */
const medianOfSquare = 0.455

/** At least 1. */
export function dispersion(history: readonly Arrival[]): number {
  const ratios: number[] = []
  for (let i = 2; i < history.length; i++) {
    const [first, middle, last] = [history[i - 2], history[i - 1], history[i]] as [Arrival, Arrival, Arrival]
    const [before, after] = [middle.atMs - first.atMs, last.atMs - middle.atMs]
    const entries = last.added - first.added
    if (before <= 0 || after <= 0 || entries <= 0) continue
    const difference = (last.added - middle.added) / after - (middle.added - first.added) / before
    ratios.push(difference ** 2 / ((entries / (before + after)) * (1 / before + 1 / after)))
  }
  if (ratios.length < leastDifferences) return 1
  ratios.sort((a, b) => a - b)
  return Math.max(1, (ratios[ratios.length >> 1] as number) / medianOfSquare)
}
