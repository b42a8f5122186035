/**
 * Whether ratios fell since a committed run. Two runs of the same code differ, so a ratio has fallen only where all of this holds:
 *
 * - both runs were on a machine that was quiet;
 * - every round of this run is worse than every round of the committed one. Five rounds each do that by chance once in 252 comparisons;
 * - the median is worse by more than the tolerance, since another machine moves all rounds alike.
 */
import { median } from '../support/statistics.ts'
import type { Report } from './report.ts'

/** Share of the committed median. */
const tolerance = 0.15

/** The ratios that are better when they are small. */
const small: ReadonlySet<string> = new Set(['ratios.redisCpuOverAddBulk', 'dispatch.overXadd', 'dispatch.overXadd2ms'])

interface Fall {
  readonly figure: string
  readonly committed: number
  readonly now: number
}

type Comparison =
  | { readonly kind: 'Compared'; readonly figures: number; readonly fallen: readonly Fall[] }
  | { readonly kind: 'NotJudged'; readonly reason: string }

type Compared = Pick<Report, 'judged' | 'reason' | 'rounds'>

export function compare(now: Compared, committed: Compared): Comparison {
  if (!now.judged) return { kind: 'NotJudged', reason: now.reason ?? '' }
  if (!committed.judged) return { kind: 'NotJudged', reason: `the committed run was not judged: ${committed.reason ?? ''}` }
  const common = Object.keys(committed.rounds).filter((figure) => (now.rounds[figure] ?? []).length > 0)
  const fallen = common.flatMap((figure) => {
    const [before = [], after = []] = [committed.rounds[figure], now.rounds[figure]]
    return isFallen(before, after, small.has(figure)) ? [{ figure, committed: median(before), now: median(after) }] : []
  })
  return { kind: 'Compared', figures: common.length, fallen }
}

function isFallen(before: readonly number[], after: readonly number[], isSmallBetter: boolean): boolean {
  if (isSmallBetter) return Math.min(...after) > Math.max(...before) && median(after) > median(before) * (1 + tolerance)
  return Math.max(...after) < Math.min(...before) && median(after) < median(before) * (1 - tolerance)
}

export function comparisonText(comparison: Comparison): string {
  if (comparison.kind === 'NotJudged') return `not compared with the committed run: ${comparison.reason}`
  const { figures, fallen } = comparison
  if (fallen.length === 0) return `none of ${figures} ratios is worse than in the committed run`
  const lines = fallen.map(({ figure, committed, now }) => `${figure} was ${committed.toFixed(3)} and is ${now.toFixed(3)}`)
  return [`${fallen.length} of ${figures} ratios are worse than in the committed run:`, ...lines].join('\n')
}
