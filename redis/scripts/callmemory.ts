/**
 * Memory of long calls, used again. A call of some 60 KiB is garbage when its reply comes. V8 counts such memory like objects of its old
 * space, so that calls alone caused every second full collection of a consumer at half its highest rate.
 *
 * The memory is free only once the server has answered: until then the socket may still write it, and ioredis may send it again.
 */

/** Sizes are powers of two from 2^12 on. A longer call is rare, and gets memory of its own. */
const leastPower = 12
const mostPower = 18
/** Pieces of that size that wait for a call. A consumer has three calls under way. */
const mostFree = 4

const free: Buffer[][] = Array.from({ length: mostPower - leastPower + 1 }, () => [])

/** At least so many bytes, with any content. */
export function takeMemory(bytes: number): Buffer {
  const power = Math.max(leastPower, 32 - Math.clz32(bytes - 1))
  if (power > mostPower) return Buffer.allocUnsafe(bytes)
  return free[power - leastPower]?.pop() ?? Buffer.allocUnsafeSlow(2 ** power)
}

/** @param memory a whole one from `takeMemory`, which nobody uses any more */
export function giveBackMemory(memory: Buffer): void {
  const list = free[31 - Math.clz32(memory.length) - leastPower]
  if (list !== undefined && (memory.length & (memory.length - 1)) === 0 && list.length < mostFree) list.push(memory)
}
