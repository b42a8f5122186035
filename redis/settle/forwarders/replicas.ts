/** A server's answer about its replicas. Managed servers, and proxies before servers, lack one command or the other. */
import type { Redis } from 'ioredis'
import { failureOn, type RedisConnection } from '../../connect/connection.ts'
import { nodeOf } from '../../connect/node.ts'
import { replyCode } from '../../connect/replies.ts'

/** Replicas that are connected and in step; undefined where the server does not say. */
export async function countReplicas(node: Redis): Promise<number | undefined> {
  const role = await allowed(node.call('ROLE'))
  if (Array.isArray(role)) return Array.isArray(role[2]) ? role[2].length : 0
  const info = await allowed(node.call('INFO', 'replication'))
  if (typeof info !== 'string' || !/^role:/m.test(info)) return undefined
  return info.match(/^slave\d+:.*\bstate=online\b/gm)?.length ?? 0
}

/** Whether WAIT is taken. For no replica it is answered at once. */
export async function canWait(node: Redis): Promise<boolean> {
  return (await allowed(node.call('WAIT', '0', '0'))) !== undefined
}

/** Whether a replica has, in time, what this connection wrote last. Throws catalogued errors. */
export async function confirmedBy(connection: RedisConnection, key: string, timeoutMs: number): Promise<boolean> {
  try {
    const node = await nodeOf(connection, key)
    return Number(await node.call('WAIT', '1', String(timeoutMs))) > 0
  } catch (thrown) {
    throw failureOn(connection, thrown)
  }
}

/** Undefined where the server refuses the command itself. */
async function allowed(reply: Promise<unknown>): Promise<unknown> {
  try {
    return (await reply) ?? undefined
  } catch (thrown) {
    const code = replyCode(thrown)
    if (code === 'ERR' || code === 'NOPERM') return undefined
    throw thrown
  }
}
