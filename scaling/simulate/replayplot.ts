/** A replayed log as SVG: arrivals, age with the target, and the decided replicas beside the recomputed ones. */
import { failure } from '../../api/errors.ts'
import { buckets, drawing, type Panel } from './plot.ts'
import type { ReplayedDecision } from './replay.ts'

interface Point {
  /** Seconds since the first. */
  readonly at: number
  readonly arrivals: number
  readonly age: number
  readonly target: number
  readonly recorded: number
  readonly now: number
}

/** @throws InvalidOption for a log that spans no time */
export function replayPlot(title: string, decisions: readonly ReplayedDecision[]): string {
  const points = pointsOf(decisions)
  const duration = points.at(-1)?.at ?? 0
  if (duration <= 0) {
    throw failure('InvalidOption', { option: '--plot', detail: 'the log spans no time: it needs two decisions that had metrics' })
  }
  const curve = (value: (point: Point) => number) => held(points, duration, value)
  const panels: readonly Panel[] = [
    {
      title: 'arrivals per second',
      curves: [{ label: 'arrived', colour: '#9aa5b1', values: curve(({ arrivals }) => arrivals) }],
    },
    {
      title: 'age of the oldest entry, seconds',
      curves: [
        { label: 'age', colour: '#b3541e', values: curve(({ age }) => age) },
        { label: 'target', colour: '#444444', values: curve(({ target }) => target), dashed: true },
      ],
    },
    {
      title: 'replicas decided',
      curves: [
        { label: 'recorded', colour: '#9aa5b1', values: curve(({ recorded }) => recorded) },
        { label: 'now', colour: '#1f6f3d', values: curve(({ now }) => now) },
      ],
    },
  ]
  return drawing(title, panels, duration)
}

/**
 * Decisions with metrics, in the order of time. After a server's clock was set back, decisions are left out until the clock passes
 * the last drawn time.
 */
function pointsOf(decisions: readonly ReplayedDecision[]): readonly Point[] {
  const points: Point[] = []
  let first: number | undefined
  let before: { readonly atMs: number; readonly entriesAdded: number } | undefined
  for (const { logged, now, targetAgeMs } of decisions) {
    const { sample, decision } = logged
    if (sample === null || (before !== undefined && sample.atMs <= before.atMs)) continue
    const spanMs = before === undefined ? 0 : sample.atMs - before.atMs
    const arrivals = before === undefined ? 0 : (Math.max(0, sample.entriesAdded - before.entriesAdded) * 1_000) / spanMs
    first ??= sample.atMs
    const [age, target] = [sample.oldestAgeMs / 1_000, targetAgeMs / 1_000]
    points.push({ at: (sample.atMs - first) / 1_000, arrivals, age, target, recorded: decision.replicas, now: now.replicas })
    before = sample
  }
  return points
}

/** Each value holds until the next; where several fall into a bucket, the largest is drawn. */
function held(points: readonly Point[], duration: number, value: (point: Point) => number): readonly number[] {
  const values: number[] = []
  let next = 0
  let last = 0
  for (let bucket = 0; bucket < buckets; bucket++) {
    const until = ((bucket + 1) * duration) / buckets
    let most: number | undefined
    for (let point = points[next]; point !== undefined && point.at <= until; point = points[++next]) {
      last = value(point)
      most = Math.max(most ?? last, last)
    }
    values.push(most ?? last)
  }
  return values
}
