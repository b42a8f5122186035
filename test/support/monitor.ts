/** MONITOR of a test's Redis. */
import type { Redis } from 'ioredis'
import type { RedisServer } from './redis.ts'
import type { Scope } from './scope.ts'

/**
 * A connection in monitor mode, closed when the scope ends. `monitor` of ioredis copies the connection. The first one must be ready
 * by then. Otherwise a reported command may arrive together with the OK, and ioredis calls it an unexpected reply.
 */
export const monitorOf = async (scope: Scope, server: RedisServer): Promise<Redis> => {
  const client = server.client()
  await client.ping()
  const monitor = await client.monitor()
  scope.after(() => monitor.disconnect())
  return monitor
}
