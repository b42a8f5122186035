/** A local port that leads to the Redis pod, made anew whenever it breaks: the way in is the same on any cluster. */
import { type ChildProcess, spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { freePort } from '../support/port.ts'
import { tethered } from '../support/tether.ts'
import { program } from './commands.ts'

export interface Tunnel {
  /** A client that finds back by itself; commands wait meanwhile. */
  readonly redis: Redis
  close(): Promise<void>
}

export async function openTunnel(namespace: string): Promise<Tunnel> {
  const port = await freePort()
  let child: ChildProcess | undefined
  let closed = false
  const keep = (async () => {
    while (!closed) {
      const args = ['-n', namespace, 'port-forward', 'pod/redis-0', `${port}:6379`, '--address', '127.0.0.1']
      const current = spawn(...tethered(program('kubectl'), args), { stdio: 'ignore' })
      child = current
      await new Promise((resolve) => current.once('close', resolve).once('error', resolve))
      if (!closed) await sleep(200)
    }
  })()
  // A command cut off by a break is sent again; that is what the idempotency key is for.
  // A way to a pod whose sandbox is gone may stay open for two minutes without an answer.
  const redis = new Redis({
    port,
    maxRetriesPerRequest: null,
    autoResendUnfulfilledCommands: true,
    retryStrategy: () => 200,
    socketTimeout: 15_000,
  })
  // Breaks are expected: the commands show when it matters.
  redis.on('error', () => undefined)
  return {
    redis,
    async close() {
      closed = true
      redis.disconnect()
      child?.kill('SIGTERM')
      await keep
    },
  }
}
