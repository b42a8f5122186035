/**
 * Ways to Redis that count round trips without a clock. Replies are held until no client has sent anything for a moment, then all
 * go through at once. Requests sent side by side are one round. Requests sent after an answer are another.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { RedisServer } from './redis.ts'
import type { Scope } from './scope.ts'

/** Much longer than a server takes to answer. */
const quietMs = 60

export interface HeldReplies {
  /** The same server, whose address leads through here; its own clients go straight to it. */
  way(server: RedisServer): Promise<RedisServer>
  /** Round trips that `work` waited for. */
  rounds(work: () => Promise<unknown>): Promise<number>
}

export function holdReplies(scope: Scope): HeldReplies {
  const held: (() => void)[] = []
  const sockets = new Set<Socket>()
  let [counting, count] = [false, 0]
  let timer: NodeJS.Timeout | undefined

  const release = () => {
    if (held.length > 0) count += 1
    for (const send of held.splice(0)) send()
  }
  const stir = () => {
    clearTimeout(timer)
    timer = setTimeout(release, quietMs)
  }
  const join = (near: Socket, far: Socket) => {
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.setNoDelay(true)
      // The other half ended, or the server did.
      socket.on('error', () => undefined)
      socket.once('close', () => {
        sockets.delete(socket)
        near.destroy()
        far.destroy()
      })
    }
    near.on('data', (chunk) => {
      far.write(chunk)
      if (counting) stir()
    })
    far.on('data', (chunk) => {
      if (!counting) return void near.write(chunk)
      held.push(() => near.write(chunk))
      stir()
    })
  }

  scope.after(() => {
    clearTimeout(timer)
    for (const socket of sockets) socket.destroy()
  })
  return {
    async way(server) {
      const gate = createServer((near) => join(near, connect(server.port, server.host))).listen(0, '127.0.0.1')
      await once(gate, 'listening')
      scope.after(() => void gate.close())
      const { port } = gate.address() as AddressInfo
      return { ...server, port, url: `redis://127.0.0.1:${port}` }
    },
    async rounds(work) {
      ;[counting, count] = [true, 0]
      try {
        await work()
        return count
      } finally {
        counting = false
        clearTimeout(timer)
        release()
      }
    },
  }
}
