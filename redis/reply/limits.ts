/** How much one reply may be. A server that a tenant names may answer anything; these bounds hold whatever it answers. */

export interface ReplyLimits {
  /** Of one reply on the wire, its framing included. */
  readonly bytes: number
  /** Values of one reply at all depths. */
  readonly items: number
  /** Lists within lists. */
  readonly depth: number
  /** From the first byte of a reply to its last. A server that sends a byte now and then would keep its commands for ever. */
  readonly ms: number
}

const mebibyte = 2 ** 20

/**
 * A look asks for counts and names, of which the scripts bring back a bounded number. A cluster of a thousand nodes describes itself in
 * 200 KiB.
 */
export const lookLimits: ReplyLimits = { bytes: 2 * mebibyte, items: 65_536, depth: 8, ms: 10_000 }

/** One entry of each stream that has one. Larger ones are asked for by their ids. */
export const wakeLimits: ReplyLimits = { bytes: mebibyte / 4, items: 65_536, depth: 8, ms: 10_000 }

/**
 * Entries and jobs are as large as their producers made them, and Redis takes texts of 512 MiB. What a consumer may hold is bounded where
 * it reads (`source.batchBytes`). These bounds stop what no Redis sends.
 */
export const workLimits: ReplyLimits = { bytes: 1024 * mebibyte, items: 16_777_216, depth: 32, ms: 600_000 }
