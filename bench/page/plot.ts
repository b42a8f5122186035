/**
 * A curve as an SVG picture. It has a background of its own, and colours for light and dark surroundings, by the reader's preference. So it is
 * legible on any page. Series differ in colour, in dash and in the shape of their points.
 */
import type { Axis, Curve, Series } from '../forward/curves.ts'
import { numberText, type Scale, scaleOf } from './scale.ts'

const [width, height] = [720, 420]
const frame = { left: 84, right: 24, top: 76, bottom: 56 }
const dashes = ['', '7 4', '2 4', '10 3 2 3']

const style = `
  .back { fill: #ffffff }
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 16px; font-weight: 600 }
  .grid { stroke: #d8dee4; stroke-width: 1 }
  .axis { stroke: #57606a; stroke-width: 1 }
  .line { fill: none; stroke-width: 2.2 }
  .s0 { stroke: #0060a8; fill: #0060a8 } .s1 { stroke: #c04000; fill: #c04000 }
  .s2 { stroke: #007a55; fill: #007a55 } .s3 { stroke: #8a3f8f; fill: #8a3f8f }
  @media (prefers-color-scheme: dark) {
    .back { fill: #0d1117 }
    text { fill: #e6edf3 }
    .grid { stroke: #2d333b }
    .axis { stroke: #8b949e }
    .s0 { stroke: #58b4f5; fill: #58b4f5 } .s1 { stroke: #f59a4a; fill: #f59a4a }
    .s2 { stroke: #3ecf98; fill: #3ecf98 } .s3 { stroke: #d69be0; fill: #d69be0 }
  }
  .line.s0, .line.s1, .line.s2, .line.s3 { fill: none }
`

export function plot(curve: Curve): string {
  const drawn = curve.series.map((series) => ({ ...series, points: series.points.filter(isShown) }))
  const values = (which: 0 | 1) => drawn.flatMap(({ points }) => points.map((point) => point[which]))
  const x = scaleOf(values(0), curve.x.scale, [frame.left, width - frame.right], 'Data')
  const y = scaleOf(values(1), curve.y.scale, [height - frame.bottom, frame.top], 'Zero')
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escaped(curve.title)}">`,
    `<style>${style}</style>`,
    `<rect class="back" width="${width}" height="${height}" rx="6"/>`,
    `<text class="title" x="16" y="28">${escaped(curve.title)}</text>`,
    ...legend(drawn),
    ...gridOf(x, y),
    ...axesOf(curve.x, curve.y),
    ...drawn.flatMap((series, at) => lineOf(series, at, x, y)),
    '</svg>',
    '',
  ].join('\n')
}

/** A figure that was not measured is null in the JSON of a run. */
const isShown = (point: readonly [number, number]) => Number.isFinite(point[0]) && Number.isFinite(point[1])

function legend(series: readonly Series[]): string[] {
  let left = 16
  return series.flatMap(({ label }, at) => {
    const start = left
    left += 52 + label.length * 7.4
    return [
      `<line class="line s${at}" x1="${start}" y1="50" x2="${start + 30}" y2="50" stroke-dasharray="${dashes[at] ?? ''}"/>`,
      marker(at, start + 15, 50),
      `<text x="${round(start + 36)}" y="54">${escaped(label)}</text>`,
    ]
  })
}

function gridOf(x: Scale, y: Scale): string[] {
  const bottom = height - frame.bottom
  const across = y.ticks.flatMap((value) => {
    const at = round(y.place(value))
    return [
      `<line class="grid" x1="${frame.left}" y1="${at}" x2="${width - frame.right}" y2="${at}"/>`,
      `<text x="${frame.left - 8}" y="${at + 4}" text-anchor="end">${numberText(value)}</text>`,
    ]
  })
  const along = x.ticks.flatMap((value) => {
    const at = round(x.place(value))
    return [
      `<line class="grid" x1="${at}" y1="${frame.top}" x2="${at}" y2="${bottom}"/>`,
      `<text x="${at}" y="${bottom + 18}" text-anchor="middle">${numberText(value)}</text>`,
    ]
  })
  return [...across, ...along]
}

function axesOf(x: Axis, y: Axis): string[] {
  const bottom = height - frame.bottom
  const middle = (frame.top + bottom) / 2
  return [
    `<path class="axis" fill="none" d="M${frame.left} ${frame.top}V${bottom}H${width - frame.right}"/>`,
    `<text x="${(frame.left + width - frame.right) / 2}" y="${height - 14}" text-anchor="middle">${escaped(x.label)}</text>`,
    `<text x="20" y="${middle}" text-anchor="middle" transform="rotate(-90 20 ${middle})">${escaped(y.label)}</text>`,
  ]
}

function lineOf({ points }: Series, at: number, x: Scale, y: Scale): string[] {
  const places = points.map(([px, py]) => [round(x.place(px)), round(y.place(py))] as const)
  const line = places.map(([px, py]) => `${px},${py}`).join(' ')
  return [
    `<polyline class="line s${at}" points="${line}" stroke-dasharray="${dashes[at] ?? ''}"/>`,
    ...places.map(([px, py]) => marker(at, px, py)),
  ]
}

function marker(at: number, x: number, y: number): string {
  switch (at % 4) {
    case 0:
      return `<circle class="s${at}" cx="${x}" cy="${y}" r="4"/>`
    case 1:
      return `<rect class="s${at}" x="${round(x - 3.5)}" y="${round(y - 3.5)}" width="7" height="7"/>`
    case 2:
      return `<path class="s${at}" d="M${x} ${round(y - 5)}l4.5 8h-9z"/>`
    default:
      return `<path class="s${at}" d="M${x} ${round(y - 5)}l5 5l-5 5l-5 -5z"/>`
  }
}

const round = (value: number) => Math.round(value * 10) / 10
const escaped = (text: string) =>
  text.replaceAll('`', '').replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
