/**
 * The wire between a consumer and its Redis servers, cut at one command of its run: a proxy that counts the commands of all the
 * consumer's connections in the order in which it sees them, each of a pipeline and each inside MULTI too.
 *
 * Before n: command n and all that follow never reach a server. After n: the server has executed n, and no reply reaches the
 * consumer any more. In both cases nothing the consumer does from then on has any effect, and it is killed.
 *
 * That the server has executed n is known without reading replies: the connection is half closed behind it, and the server
 * closes its side when it has worked off what came before.
 */
import { connect, createServer, type Server, type Socket } from 'node:net'
import { createSplitter } from './commands.ts'

export type Side = 'before' | 'after'

export interface Boundary {
  /** Counted from 0 over the consumer's whole run. */
  readonly index: number
  readonly side: Side
}

export interface Cut extends Boundary {
  /** The command there. */
  readonly command: string
}

export interface Wire {
  /** Ports in the order of the servers. */
  readonly ports: readonly number[]
  /** Lets a new consumer through until `boundary`. Resolves with where it was cut; never, if the run ends before. */
  arm(boundary: Boundary): Promise<Cut>
  /** Commands that have come since `arm`. */
  readonly seen: number
  /** Ends every connection and lets none through until armed again. */
  disarm(): Promise<void>
  close(): Promise<void>
}

type State =
  | { readonly kind: 'Open'; readonly boundary: Boundary; readonly cut: (cut: Cut) => void }
  /** Nothing passes any more, in either direction. */
  | { readonly kind: 'Cut' }

/** @param targets ports of the servers on 127.0.0.1 */
export async function openWire(targets: readonly number[]): Promise<Wire> {
  let state: State = { kind: 'Cut' }
  let seen = 0
  const sockets = new Set<Socket>()

  const keep = (socket: Socket) => {
    sockets.add(socket)
    socket.setNoDelay(true)
    socket.on('error', ignoreReset)
    socket.once('close', () => sockets.delete(socket))
  }

  const serve = (client: Socket, target: number) => {
    keep(client)
    if (state.kind === 'Cut') {
      client.destroy()
      return
    }
    const server = connect({ host: '127.0.0.1', port: target })
    keep(server)
    const splitter = createSplitter()
    client.on('data', (chunk: Buffer) => {
      for (const { name, bytes } of splitter.push(chunk)) {
        if (state.kind === 'Cut') return
        const { boundary, cut } = state
        const index = seen++
        if (index < boundary.index) {
          server.write(bytes)
          continue
        }
        state = { kind: 'Cut' }
        const reported = () => cut({ ...boundary, command: name })
        if (boundary.side === 'before') {
          reported()
          return
        }
        server.once('close', reported)
        server.end(bytes)
        return
      }
    })
    server.on('data', (chunk: Buffer) => {
      if (state.kind === 'Open') client.write(chunk)
    })
    client.once('close', () => {
      if (state.kind === 'Open') server.destroy()
    })
    server.once('close', () => {
      if (state.kind === 'Open') client.destroy()
    })
  }

  const servers = await Promise.all(targets.map(async (target) => await listen((client) => serve(client, target))))

  const disarm = async () => {
    state = { kind: 'Cut' }
    const closing = [...sockets].map(async (socket) => {
      await new Promise<void>((resolve) => {
        socket.once('close', () => resolve())
        socket.destroy()
      })
    })
    await Promise.all(closing)
  }

  return {
    ports: servers.map(({ port }) => port),
    get seen() {
      return seen
    },
    async arm(boundary) {
      seen = 0
      return await new Promise<Cut>((cut) => {
        state = { kind: 'Open', boundary, cut }
      })
    },
    disarm,
    async close() {
      await disarm()
      await Promise.all(servers.map(async ({ server }) => await new Promise((resolve) => server.close(resolve))))
    },
  }
}

/** A killed process resets its connections, which is the case under test. */
function ignoreReset() {}

async function listen(serve: (client: Socket) => void): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer(serve)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('the proxy has no port')
  return { server, port: address.port }
}
