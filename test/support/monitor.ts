/** MONITOR of a test's Redis. */
import type { Redis } from 'ioredis'
import type { RedisServer } from './redis.ts'
import type { Scope } from './scope.ts'

/**
 * A connection in monitor mode, closed when the scope ends. `monitor` of ioredis copies the connection. The first one must be ready by
 * then: ioredis takes a reported command that arrives together with the OK for an unexpected reply.
 */
export const monitorOf = async (scope: Scope, server: RedisServer): Promise<Redis> => {
  const client = server.client()
  await client.ping()
  const monitor = await client.monitor()
  scope.after(() => monitor.disconnect())
  return monitor
}
