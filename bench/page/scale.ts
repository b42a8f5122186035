/** Axes of a plot: where a value lies, and which values are written beside it. */

export interface Scale {
  readonly ticks: readonly number[]
  /** In the picture's own units. */
  place(value: number): number
}

/**
 * @param range first and last place
 * @param beginning `Zero`: a linear axis begins at 0, since the eye compares lengths. `Data`: ticks are the values themselves, if these are few
 */
export function scaleOf(
  values: readonly number[],
  kind: 'Linear' | 'Log',
  range: readonly [number, number],
  beginning: 'Zero' | 'Data',
): Scale {
  const known = values.length === 0 ? [0, 1] : values
  return kind === 'Log' ? logScale(known, range, beginning) : linearScale(known, range, beginning)
}

function linearScale(values: readonly number[], [from, to]: readonly [number, number], beginning: 'Zero' | 'Data'): Scale {
  const step = niceStep(Math.max(...values, Number.EPSILON) / 5)
  const most = Math.ceil(Math.max(...values, Number.EPSILON) / step) * step
  const least = Math.min(0, ...values)
  const place = (value: number) => from + ((value - least) / (most - least)) * (to - from)
  const distinct = [...new Set(values)]
  if (beginning === 'Data' && distinct.length <= mostOwnTicks) return { ticks: spread(distinct, place, to - from), place }
  return { ticks: Array.from({ length: Math.round(most / step) + 1 }, (_, at) => at * step), place }
}

function logScale(values: readonly number[], [from, to]: readonly [number, number], beginning: 'Zero' | 'Data'): Scale {
  const positive = values.filter((value) => value > 0)
  const [low, high] = [Math.min(...positive), Math.max(...positive)]
  const [least, most] =
    beginning === 'Data' ? [low, high] : [10 ** Math.floor(Math.log10(low)), 10 ** Math.ceil(Math.log10(high))]
  const span = Math.log10(most) - Math.log10(least) || 1
  const place = (value: number) => from + ((Math.log10(value) - Math.log10(least)) / span) * (to - from)
  if (beginning === 'Data') return { ticks: [...new Set(values)], place }
  const decades = Math.round(Math.log10(most) - Math.log10(least))
  return { ticks: Array.from({ length: decades + 1 }, (_, at) => least * 10 ** at), place }
}

const mostOwnTicks = 8
const closest = 0.05

/** Leaves out values whose labels would touch those before. */
function spread(values: readonly number[], place: (value: number) => number, length: number): readonly number[] {
  const kept: number[] = []
  for (const value of values.toSorted((a, b) => a - b)) {
    const last = kept.at(-1)
    if (last === undefined || Math.abs(place(value) - place(last)) >= closest * Math.abs(length)) kept.push(value)
  }
  return kept
}

/** 1, 2 or 5 times a power of ten. */
function niceStep(atLeast: number): number {
  const power = 10 ** Math.floor(Math.log10(atLeast))
  return ([1, 2, 5, 10].find((factor) => factor * power >= atLeast) ?? 10) * power
}

/** 12500 → 12,500; 0.5 → 0.5. */
export const numberText = (value: number) => value.toLocaleString('en-US', { maximumFractionDigits: 2 })
