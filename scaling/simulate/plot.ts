/** A run as SVG: arrivals, age of the oldest entry with the target, and replicas, one under another over the same time. */
import { printable } from '../../api/printable.ts'
import { intensityAt, type Load } from './load.ts'
import type { Scenario } from './scenario.ts'
import type { Run } from './world.ts'

interface Curve {
  readonly label: string
  readonly colour: string
  readonly values: readonly number[]
  readonly dashed?: boolean
}

export interface Panel {
  readonly title: string
  readonly curves: readonly Curve[]
}

const [width, panelHeight, left, right, gap] = [900, 150, 60, 20, 40]
/** Values of a curve. */
export const buckets = 450

/** @param oracle its run, drawn beside ours */
export function plot(scenario: Scenario, load: Load, ours: Run, oracle: Run): string {
  const every = scenario.duration / buckets
  const sampled = (curve: ArrayLike<number>) =>
    Array.from({ length: buckets }, (_, i) => {
      let most = 0
      for (let at = Math.floor(i * every); at < Math.min(curve.length, (i + 1) * every); at++)
        most = Math.max(most, curve[at] ?? 0)
      return most
    })
  const arrived = new Array<number>(buckets).fill(0)
  for (const at of load.arrivals) {
    const bucket = Math.min(buckets - 1, Math.floor(at / every))
    arrived[bucket] = (arrived[bucket] ?? 0) + 1 / every
  }
  const target = scenario.scaling.targetAgeMs / 1000
  const panels: Panel[] = [
    {
      title: 'arrivals per second',
      curves: [
        { label: 'arrived', colour: '#9aa5b1', values: arrived },
        { label: 'mean', colour: '#1f4e79', values: Array.from({ length: buckets }, (_, i) => intensityAt(scenario, i * every)) },
      ],
    },
    {
      title: 'age of the oldest undelivered entry, seconds',
      curves: [
        { label: 'age', colour: '#b3541e', values: sampled(ours.ages) },
        { label: 'target', colour: '#444444', values: new Array<number>(buckets).fill(target), dashed: true },
      ],
    },
    {
      title: 'replicas',
      curves: [
        { label: 'oracle', colour: '#9aa5b1', values: sampled(oracle.desired) },
        { label: 'ready', colour: '#7fb069', values: sampled(ours.ready) },
        { label: 'desired', colour: '#1f6f3d', values: sampled(ours.desired) },
      ],
    },
  ]
  return drawing(`${scenario.name}: ${scenario.about}`, panels, scenario.duration)
}

/** @param duration seconds that the panels cover */
export function drawing(title: string, panels: readonly Panel[], duration: number): string {
  const height = gap + panels.length * (panelHeight + gap)
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="white"/>`,
    `<text x="${left}" y="22" font-size="15">${escaped(title)}</text>`,
    ...panels.map((panel, i) => drawn(panel, gap + i * (panelHeight + gap) + 10, duration)),
    '</svg>',
    '',
  ].join('\n')
}

function drawn({ title, curves }: Panel, top: number, duration: number): string {
  const most = Math.max(1e-9, ...curves.flatMap(({ values }) => values)) * 1.05
  const x = (bucket: number) => (left + (bucket / buckets) * (width - left - right)).toFixed(1)
  const y = (value: number) => (top + panelHeight * (1 - value / most)).toFixed(1)
  const bottom = top + panelHeight
  const minutes = duration / 60
  const ticks = Array.from({ length: 7 }, (_, i) => (i * minutes) / 6)
  let legend = left + 320
  return [
    `<text x="${left}" y="${top - 6}">${title}</text>`,
    ...curves.map(({ label, colour }) => {
      legend += 90
      return `<text x="${legend}" y="${top - 6}" fill="${colour}">${label}</text>`
    }),
    `<path d="M${left} ${top}V${bottom}H${width - right}" fill="none" stroke="#444444"/>`,
    `<text x="${left - 6}" y="${top + 10}" text-anchor="end">${short(most)}</text>`,
    `<text x="${left - 6}" y="${bottom}" text-anchor="end">0</text>`,
    ...ticks.map(
      (at) => `<text x="${x((at / minutes) * buckets)}" y="${bottom + 14}" text-anchor="middle">${tick(at, minutes)}m</text>`,
    ),
    ...curves.map(
      ({ values, colour, dashed }) =>
        `<polyline fill="none" stroke="${colour}" stroke-width="1.3"${dashed ? ' stroke-dasharray="5 4"' : ''} points="${values
          .map((value, i) => `${x(i)},${y(value)}`)
          .join(' ')}"/>`,
    ),
  ].join('\n')
}

/** Whole minutes, unless they would repeat. */
const tick = (at: number, minutes: number): string => (minutes >= 6 ? String(Math.round(at)) : at.toFixed(1))
const short = (value: number): string => (value >= 10 ? String(Math.round(value)) : value.toFixed(1))
const escaped = (text: string): string => printable(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
