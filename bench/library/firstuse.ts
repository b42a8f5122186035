/** The library's first use in fresh processes: its import beyond that of its peers, and the first dispatch. */
import { fileURLToPath } from 'node:url'
import { startProcess } from '../../test/support/process.ts'
import type { RedisServer } from '../../test/support/redis.ts'
import { createScope } from '../support/scope.ts'
import { median } from '../support/statistics.ts'

/** Packages that an application of BullMQ has anyway. */
export const peers = ['bullmq', 'ioredis'] as const

/** Of one process, milliseconds. */
export interface FirstUse {
  readonly peersMs: number
  /** After the peers were imported. */
  readonly importMs: number
  /** From making the dispatcher to the result, connecting included. */
  readonly firstDispatchMs: number
}

const program = fileURLToPath(new URL('./importprogram.ts', import.meta.url))

/** Medians of fresh processes. The first one, which fills the machine's file cache, does not count. */
export async function measureFirstUse(server: RedisServer, processes: number): Promise<FirstUse> {
  const found: FirstUse[] = []
  for (let at = 0; at <= processes; at++) {
    const used = await firstUse(server)
    if (at > 0) found.push(used)
  }
  return {
    peersMs: median(found.map(({ peersMs }) => peersMs)),
    importMs: median(found.map(({ importMs }) => importMs)),
    firstDispatchMs: median(found.map(({ firstDispatchMs }) => firstDispatchMs)),
  }
}

async function firstUse(server: RedisServer): Promise<FirstUse> {
  const scope = createScope()
  try {
    const child = await startProcess(scope, [program, server.url])
    const { code } = await child.exit
    if (code !== 0) throw new Error(`the library's first use failed:\n${child.stderr()}`)
    return JSON.parse(child.stdout()) as FirstUse
  } finally {
    await scope.close()
  }
}
