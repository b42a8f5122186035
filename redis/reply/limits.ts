/** The bounds on one reply. A server that a tenant names may send any answer, and these bounds still hold. */

export interface ReplyLimits {
  /** Bytes of one reply on the wire, its framing included. */
  readonly bytes: number
  /** Values of one reply at all depths. */
  readonly items: number
  /** Lists within lists. */
  readonly depth: number
  /** Time from a reply's first byte to its last. Without it, a server that sends a byte now and then would hold its commands for ever. */
  readonly ms: number
}

const mebibyte = 2 ** 20

/**
 * A look requests counts and names, and the scripts bound how many they return. A cluster of a thousand nodes describes itself in 200 KiB.
 */
export const lookLimits: ReplyLimits = { bytes: 2 * mebibyte, items: 65_536, depth: 8, ms: 10_000 }

/** One entry of each stream that has one. Larger ones are requested by their ids. */
export const wakeLimits: ReplyLimits = { bytes: mebibyte / 4, items: 65_536, depth: 8, ms: 10_000 }

/**
 * Producers decide the size of entries and jobs, and Redis accepts texts of 512 MiB. `source.batchBytes` bounds the bytes that a consumer
 * holds, where it reads. These bounds stop replies that no Redis sends.
 */
export const workLimits: ReplyLimits = { bytes: 1024 * mebibyte, items: 16_777_216, depth: 32, ms: 600_000 }
