/**
 * Local times of a time zone. A local time that clocks skip begins at the first instant after it. A local time that clocks show
 * twice begins at its first occurrence: the first instant at which clocks show it or a later time.
 */

interface Zone {
  /** Milliseconds that clocks of the zone are ahead of UTC. */
  offsetMs(atMs: number): number
  /** The turn of its clocks that was found last. For about a day around it, each call needs that turn again. */
  turn: Turn | undefined
}

/** From this instant on clocks show another offset. */
interface Turn {
  readonly atMs: number
  readonly before: number
  readonly after: number
}

/** Zones have many names and spellings, so known ones are forgotten now and then. */
const mostKnown = 1_000
const known = new Map<string, Zone | undefined>()

/** Undefined: there is no such zone. */
export function zoneOf(name: string): Zone | undefined {
  if (known.has(name)) return known.get(name)
  if (known.size >= mostKnown) known.clear()
  const zone = createZone(name)
  known.set(name, zone)
  return zone
}

function createZone(timeZone: string): Zone | undefined {
  let format: Intl.DateTimeFormat
  try {
    format = new Intl.DateTimeFormat('en', { timeZone, timeZoneName: 'longOffset' })
  } catch {
    // A RangeError is Intl's only sign that a zone is not known to it.
    return undefined
  }
  return { offsetMs: (atMs) => parseOffset(format.format(atMs)), turn: undefined }
}

/** `1/5/2026, GMT-03:30`, or `GMT` alone */
function parseOffset(text: string): number {
  const [, sign, hours, minutes, seconds = '0'] = /GMT([+-])(\d+):(\d+)(?::(\d+))?/.exec(text) ?? []
  const ms = (Number(hours ?? 0) * 60 + Number(minutes ?? 0)) * 60_000 + Number(seconds) * 1_000
  return sign === '-' ? -ms : ms
}

const hourMs = 3_600_000
/** Clocks are at most so far ahead of UTC, and so far behind it, and an hour more. */
const mostAheadMs = 15 * hourMs
const mostBehindMs = 13 * hourMs
/** The longest time that clocks are known to have been turned by is a day. */
const longestTurnMs = 24 * hourMs

/** The turn between two instants with different offsets. */
function turnBetween(zone: Zone, fromMs: number, untilMs: number, before: number, after: number): number {
  const { turn } = zone
  const isKnown = turn !== undefined && turn.before === before && turn.after === after
  if (isKnown && turn.atMs > fromMs && turn.atMs <= untilMs) return turn.atMs
  let [early, late] = [fromMs, untilMs]
  while (late - early > 1) {
    const middle = Math.floor((early + late) / 2)
    if (zone.offsetMs(middle) === before) early = middle
    else late = middle
  }
  zone.turn = { atMs: late, before, after }
  return late
}

/** @param localMs a local time, as if it were one of UTC */
export function firstInstant(zone: Zone, localMs: number): number {
  const [fromMs, untilMs] = [localMs - mostAheadMs, localMs + mostBehindMs]
  const [before, after] = [zone.offsetMs(fromMs), zone.offsetMs(untilMs)]
  if (before === after) return localMs - before
  const turnMs = turnBetween(zone, fromMs, untilMs, before, after)
  if (localMs - before < turnMs) return localMs - before
  return Math.max(turnMs, localMs - after)
}

/** The latest local time that clocks have shown up to that instant. */
export function latestShown(zone: Zone, atMs: number): number {
  const [before, now] = [zone.offsetMs(atMs - longestTurnMs), zone.offsetMs(atMs)]
  if (before <= now) return atMs + now
  return Math.max(atMs + now, turnBetween(zone, atMs - longestTurnMs, atMs, before, now) + before - 1)
}
