import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { RedisServer } from './redis.ts'
import type { Scope } from './scope.ts'

export interface SilentWay {
  readonly url: string
  /** Connections that came. */
  taken(): number
  /** Ends them all. */
  cut(): void
}

/** A way to Redis that serves the first connection. It accepts later ones and never answers them. */
export async function silentAfterFirst(scope: Scope, server: RedisServer): Promise<SilentWay> {
  const sockets: Socket[] = []
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  const way = createServer((near) => {
    sockets.push(near.on('error', () => undefined).resume())
    if (sockets.length > 1) return
    const far = connect(server.port, server.host)
    far.on('error', () => undefined)
    near.pipe(far).pipe(near)
  }).listen(0, '127.0.0.1')
  await once(way, 'listening')
  scope.after(() => {
    cut()
    way.close()
  })
  return { url: `redis://127.0.0.1:${(way.address() as AddressInfo).port}`, taken: () => sockets.length, cut }
}
