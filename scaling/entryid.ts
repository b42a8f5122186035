/** Stream entry ids: `<milliseconds>-<sequence>`, both up to 2^64, so compared as BigInts. */

function parts(id: string): readonly [bigint, bigint] {
  const [ms = '0', sequence = '0'] = id.split('-')
  return [BigInt(ms), BigInt(sequence)]
}

/** Whether a text from a server is an id. */
export const isEntryId = (text: string): boolean => /^\d{1,20}-\d{1,20}$/.test(text)

/** Negative, zero or positive as `a` is before, equal to or after `b`. */
export function compareIds(a: string, b: string): number {
  const [aMs, aSequence] = parts(a)
  const [bMs, bSequence] = parts(b)
  if (aMs !== bMs) return aMs < bMs ? -1 : 1
  if (aSequence !== bSequence) return aSequence < bSequence ? -1 : 1
  return 0
}

/** The id's first half as a number; exact for times, rounded for absurd ids. */
export const idMs = (id: string): number => Number(parts(id)[0])

const dayMs = 86_400_000
/** 2010: Redis Streams are younger (5.0, 2018), so a smaller id was chosen by hand (`1-1`). */
const earliestTimeMs = Date.UTC(2010, 0)

/** Whether an id can be the server's clock at the time of XADD: neither from before streams existed nor over a day ahead. */
export function isTimeId(id: string, nowMs: number): boolean {
  const ms = idMs(id)
  return ms >= earliestTimeMs && ms <= nowMs + dayMs
}
