/**
 * How replies reach a connection: our parser stands in place of ioredis' own. That one takes whatever a server announces, grows without
 * bound, and rethrows what goes wrong while a reply is handed over where nobody can catch it, which ends the process. Here whatever is
 * wrong destroys the one connection, and the commands that wait on it fail with an error of the catalogue.
 *
 * ioredis has no place for another parser. It asks the connection's connector for a socket and then listens to its `data`; so the
 * connector is asked here, and the listener is replaced on the one socket. This holds for 6.0.0, which package.json names exactly;
 * test/redis/replyreading notices a release that listens otherwise.
 *
 * Connections that ioredis makes by itself, to ask a sentinel or a node of a cluster, are read the same way.
 */
import type { Duplex } from 'node:stream'
import type { Cluster, Command, Redis } from 'ioredis'
import { asFailure, failure, type StreamPipelineError } from '../../api/errors.ts'
import type { ReplyBudget } from '../reply/budget.ts'
import type { ReplyLimits } from '../reply/limits.ts'
import { createReplyParser, type Reply } from '../reply/parser.ts'
import { misdirecting, misshapen } from '../reply/shapes.ts'

export interface ReplyReading {
  readonly limits: ReplyLimits
  /** Shared with other connections; absent: this one's limits are all. */
  readonly budget?: ReplyBudget
  /** What may be shown of the server. */
  readonly label: string
}

/** What of ioredis' own is used here. */
interface Internals {
  readonly connector: Connector
  readonly commandQueue: { shift(): Queued | undefined }
  flushQueue(error: Error, options: { readonly offlineQueue: boolean }): void
  handleReconnection(error: Error, item: Queued): void
  silentEmit(event: 'error', error: Error): void
}

interface Connector {
  connect(emit: unknown): Promise<Duplex>
  connectToSentinel?(endpoint: unknown, options?: object): Redis
}

interface Queued {
  readonly command: Command
}

/** To be called before the connection connects. What is duplicated from it is read so, too. */
export function readReplies(connection: Redis, reading: ReplyReading): void {
  const { connector } = connection as unknown as Internals
  const { connect, connectToSentinel } = connector
  connector.connect = async (emit) => {
    const socket = await connect.call(connector, emit)
    listenThrough(socket, connection, reading)
    return socket
  }
  if (connectToSentinel !== undefined) {
    connector.connectToSentinel = (endpoint, options) => {
      const asking = connectToSentinel.call(connector, endpoint, { ...options, lazyConnect: true })
      readReplies(asking, reading)
      return asking
    }
  }
  const { duplicate } = connection
  connection.duplicate = (override) => {
    const copy = duplicate.call(connection, { ...override, lazyConnect: true })
    readReplies(copy, reading)
    const connectsItself = override?.lazyConnect ?? connection.options.lazyConnect
    if (connectsItself === false) copy.connect().catch(ignoreAttempt)
    return copy
  }
}

/** So that all nodes of a cluster are read so, also those that it finds later. To be called before it connects. */
export function readNodeReplies(cluster: Cluster, reading: ReplyReading): void {
  cluster.on('+node', (node) => readReplies(node, reading))
  const { duplicate } = cluster
  cluster.duplicate = (nodes, options) => {
    const copy = duplicate.call(cluster, nodes, { ...options, lazyConnect: true })
    readNodeReplies(copy, reading)
    if (options?.lazyConnect === false) copy.connect().catch(ignoreAttempt)
    return copy
  }
}

/** Told by the connection's events and by its commands. */
function ignoreAttempt() {}

/** ioredis listens for bytes by `prependListener`, once, when it is connected: that listener is never called. */
function listenThrough(socket: Duplex, connection: Redis, reading: ReplyReading): void {
  const listen = socket.prependListener
  socket.prependListener = ((event: string, listener: (...args: unknown[]) => void) => {
    if (event !== 'data') return listen.call(socket, event, listener)
    socket.prependListener = listen
    return listen.call(socket, 'data', replyReader(socket, connection, reading))
  }) as typeof socket.prependListener
}

function replyReader(socket: Duplex, connection: Redis, { limits, budget, label }: ReplyReading): (piece: Buffer) => void {
  const internals = connection as unknown as Internals
  let refused = false
  let begunMs: number | undefined

  function refuse(error: StreamPipelineError): void {
    if (refused) return
    refused = true
    share?.leave()
    internals.flushQueue(error, { offlineQueue: false })
    internals.silentEmit('error', error)
    // Not ended: a peer that goes on sending would be listened to.
    socket.destroy()
  }
  const detailed = (detail: string) => refuse(failure('RedisReplyRefused', { address: label, detail }))
  const share = budget?.join(() => detailed('replies of many servers are too large together, and this one is the largest'))
  if (share !== undefined) socket.once('close', () => share.leave())

  /** @returns the command that the reply answers; undefined: none, or the connection is given up */
  function answered(): Queued | undefined {
    if (refused) return undefined
    const item = internals.commandQueue.shift()
    if (item === undefined) detailed('a reply that no command waits for')
    return item
  }

  /** Of the command, whose caller must hear of it. */
  function misled(item: Queued, fault: string): void {
    const error = failure('RedisReplyRefused', { address: label, detail: fault })
    refuse(error)
    item.command.reject(error)
  }

  const parser = createReplyParser(limits, {
    reply(value: Reply) {
      const item = answered()
      if (item === undefined) return
      const fault = misshapen(item.command, value)
      if (fault === undefined) item.command.resolve(value as Buffer)
      else misled(item, fault)
    },
    error(error: Error) {
      const item = answered()
      if (item === undefined) return
      const fault = misdirecting(error)
      if (fault !== undefined) return misled(item, fault)
      const { name, args } = item.command
      internals.handleReconnection(Object.assign(error, { command: { name, args } }), item)
    },
  })

  return (piece) => {
    if (refused) return
    try {
      const fault = parser.write(piece)
      if (fault !== undefined) return detailed(fault)
      share?.set(parser.held)
      if (!parser.incomplete) begunMs = undefined
      else if (begunMs === undefined) begunMs = performance.now()
      else if (performance.now() - begunMs > limits.ms) detailed(`a reply that does not end within ${limits.ms / 1000} s`)
    } catch (thrown) {
      // Whoever was handed a reply failed: after that nobody knows which command the next one answers.
      refuse(asFailure(thrown))
    }
  }
}
