/**
 * The load of a scenario under one seed: every entry with its time of arrival and its time of service, the same for all
 * controllers.
 */
import { createRandom, exponential, normal, type Random } from './random.ts'
import type { Scenario } from './scenario.ts'

export interface Load {
  /** Seconds since the start, ascending. */
  readonly arrivals: Float64Array
  /** Seconds of one slot; for a poisoned entry, what each of its deliveries holds. */
  readonly services: Float64Array
  readonly poisoned: Uint8Array
}

type Arrivals = Scenario['arrivals'][number]

/** Mean entries per second that a part of the load adds at the time `at`. Batches are left out. */
function partAt(part: Arrivals, at: number): number {
  switch (part.kind) {
    case 'Constant':
      return at >= (part.from ?? 0) && at < (part.until ?? Number.POSITIVE_INFINITY) ? part.perSecond : 0
    case 'Ramp': {
      if (at < part.from || at >= part.until) return 0
      const [first, last] = part.perSecond
      return first + ((last - first) * (at - part.from)) / (part.until - part.from)
    }
    case 'Wave':
      return Math.max(0, part.perSecond - part.amplitude * Math.cos((2 * Math.PI * at) / part.period))
    case 'Spikes':
      return at >= (part.from ?? 0) && (at - (part.from ?? 0)) % part.every < part.lasting ? part.perSecond : 0
    case 'Batches':
      return 0
    default:
      return part satisfies never
  }
}

/** Mean arrivals per second without batches: the load's own shape. */
export const intensityAt = (scenario: Scenario, at: number): number =>
  scenario.arrivals.reduce((sum, part) => sum + partAt(part, at), 0)

const step = 1

export function drawLoad(scenario: Scenario, seed: number): Load {
  const times = Float64Array.from(drawArrivals(scenario, createRandom(seed, 'arrivals'))).sort()
  const poisonTimes = Float64Array.from(drawPoison(scenario, createRandom(seed, 'poison'))).sort()
  const count = times.length + poisonTimes.length
  const load = { arrivals: new Float64Array(count), services: new Float64Array(count), poisoned: new Uint8Array(count) }
  const random = createRandom(seed, 'services')
  let [healthy, poison] = [0, 0]
  for (let i = 0; i < count; i++) {
    const isPoison =
      poison < poisonTimes.length && (healthy === times.length || (poisonTimes[poison] as number) < (times[healthy] as number))
    const at = (isPoison ? poisonTimes[poison++] : times[healthy++]) as number
    load.arrivals[i] = at
    load.poisoned[i] = isPoison ? 1 : 0
    load.services[i] = isPoison ? (scenario.poison?.holds ?? 1) : drawService(scenario, at, random)
  }
  return load
}

function drawArrivals(scenario: Scenario, random: Random): number[] {
  const { duration } = scenario
  const times: number[] = []
  let needed = exponential(random)
  for (let at = 0; at < duration; at += step) {
    const expected = intensityAt(scenario, at) * step
    let spent = 0
    while (expected - spent >= needed) {
      spent += needed
      times.push(at + (spent / expected) * step)
      needed = exponential(random)
    }
    needed -= expected - spent
  }
  for (const part of scenario.arrivals) {
    if (part.kind !== 'Batches') continue
    for (let at = part.from ?? 0; at < duration; at += part.every) {
      for (let i = 0; i < part.entries; i++) times.push(at + i / 10_000)
    }
  }
  return afterOutages(scenario, times, random)
}

/** Entries that cannot be added while Redis is away are added in the two seconds after. */
function afterOutages(scenario: Scenario, times: number[], random: Random): number[] {
  const { redisOutages } = scenario
  if (redisOutages.length === 0) return times
  return times.map((at) => {
    const outage = redisOutages.find(({ from, lasting }) => at >= from && at < from + lasting)
    return outage === undefined ? at : outage.from + outage.lasting + 2 * random()
  })
}

function drawPoison({ poison, duration }: Scenario, random: Random): number[] {
  if (poison === undefined) return []
  const { entries, from, until = duration } = poison
  return Array.from({ length: entries }, () => (entries === 1 ? from : from + random() * (until - from)))
}

function drawService({ service }: Scenario, at: number, random: Random): number {
  const factor = service.changes.findLast((change) => at >= change.at)?.factor ?? 1
  const mean = service.mean * factor
  switch (service.distribution) {
    case 'Constant':
      return mean
    case 'Exponential':
      return mean * exponential(random)
    case 'LogNormal':
      return mean * Math.exp(service.sigma * normal(random) - service.sigma ** 2 / 2)
    case 'Pareto': {
      const least = (mean * (service.alpha - 1)) / service.alpha
      return Math.min(100 * mean, least / (1 - random()) ** (1 / service.alpha))
    }
    default:
      return service.distribution satisfies never
  }
}
