/** A consumer's heartbeat as read back from Redis: written every 2 s, gone 15 s after the last one. */
import { z } from 'zod'

/** How long a heartbeat outlives its writer (the key's PX). */
export const heartbeatTtlMs = 15_000

const shape = z.object({
  uid: z.string(),
  /** Server clock, milliseconds. */
  at: z.number(),
  state: z.string(),
  inFlight: z.number().catch(0),
  /** Mean time one entry costs one batch slot; 0 or absent until something was settled. */
  serviceMs: z.number().nullish(),
  path: z.string().catch(''),
  forwarded: z.number().catch(0),
  duplicates: z.number().catch(0),
  dead: z.number().catch(0),
  reclaimed: z.number().catch(0),
})

export interface Heartbeat {
  readonly uid: string
  readonly atMs: number
  readonly state: string
  readonly inFlight: number
  readonly serviceMs?: number
  readonly path: string
  readonly forwarded: number
  readonly duplicates: number
  readonly dead: number
  readonly reclaimed: number
}

/** Undefined when there is none, or when it is not one of ours: another program's key must not break scaling. */
export function readHeartbeat(text: string | null | undefined): Heartbeat | undefined {
  if (text === null || text === undefined) return undefined
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch {
    return undefined // not JSON: not a heartbeat
  }
  const parsed = shape.safeParse(document)
  if (!parsed.success) return undefined
  const { at, serviceMs, ...rest } = parsed.data
  return { ...rest, atMs: at, ...(typeof serviceMs === 'number' && serviceMs > 0 ? { serviceMs } : {}) }
}

/** Entries a consumer has settled since it started. */
export const settledBy = (heartbeat: Heartbeat): number => heartbeat.forwarded + heartbeat.duplicates + heartbeat.dead
