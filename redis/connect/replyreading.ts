/**
 * How replies reach a connection: our parser replaces ioredis' own. That one accepts all that a server announces, and grows without bound.
 * It also rethrows an error in a reply's handler where no caller can catch it, which ends the process. Here any problem destroys only its own
 * connection, and the waiting commands fail with an error of the catalogue.
 *
 * ioredis offers no setting for another parser. It asks the connection's connector for a socket and then listens to its `data`. So this
 * code asks the connector, and replaces the listener on that one socket. This holds for 6.0.0, which the images have;
 * test/redis/connect/replyreading notices a release that listens otherwise.
 *
 * Connections that ioredis itself makes, to ask a Sentinel or a node of a cluster, are read the same way.
 */
import type { Duplex } from 'node:stream'
import type { Cluster, Command, Redis } from 'ioredis'
import { asFailure, failure, type StreamPipelineError } from '../../api/errors.ts'
import type { Reply } from '../reply/assembly.ts'
import type { ReplyBudget } from '../reply/budget.ts'
import { createEntrySinks } from '../reply/entrysink.ts'
import type { ReplyLimits } from '../reply/limits.ts'
import { createReplyParser } from '../reply/parser.ts'
import { misdirecting, misshapen } from '../reply/shapes.ts'

export interface ReplyReading {
  readonly limits: ReplyLimits
  /** Shared with other connections. Absent: only this connection's own limits apply. */
  readonly budget?: ReplyBudget
  /** The server's name in messages, without secrets. */
  readonly label: string
  /** XREADGROUP answers with `ReadEntries` (redis/reply/entrysink.ts) in place of lists, or with null. */
  readonly takesEntries?: boolean
}

/** The parts of ioredis that this code uses. */
interface Internals {
  readonly connector: Connector
  readonly commandQueue: { shift(): Queued | undefined; peekAt(index: number): Queued | undefined }
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

/** Call it before the connection connects. It also covers duplicates of the connection. */
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

/** Covers all nodes of a cluster, also those found later. Call it before the cluster connects. */
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

/** The connection's events and its commands report the problem. */
function ignoreAttempt() {}

/** ioredis adds its `data` listener by `prependListener`, once, on connecting. That listener is never called. */
function listenThrough(socket: Duplex, connection: Redis, reading: ReplyReading): void {
  const listen = socket.prependListener
  socket.prependListener = ((event: string, listener: (...args: unknown[]) => void) => {
    if (event !== 'data') return listen.call(socket, event, listener)
    socket.prependListener = listen
    return listen.call(socket, 'data', replyReader(socket, connection, reading))
  }) as typeof socket.prependListener
}

function replyReader(socket: Duplex, connection: Redis, reading: ReplyReading): (piece: Buffer) => void {
  const { limits, budget, label } = reading
  const internals = connection as unknown as Internals
  const sinks = reading.takesEntries === true ? createEntrySinks() : undefined
  let refused = false
  let begunMs: number | undefined
  /** Whether the piece that is being read has completed a reply. */
  let completed = false

  function refuse(error: StreamPipelineError): void {
    if (refused) return
    refused = true
    share?.leave()
    internals.flushQueue(error, { offlineQueue: false })
    internals.silentEmit('error', error)
    // Destroyed rather than ended: an ended socket would still read what its peer sends.
    socket.destroy()
  }
  const detailed = (detail: string) => refuse(failure('RedisReplyRefused', { address: label, detail }))
  const share = budget?.join(() => detailed('replies of many servers are too large together, and this one is the largest'))
  if (share !== undefined) socket.once('close', () => share.leave())

  /** @returns the command that the reply answers; undefined: there is none, or the connection is given up */
  function answered(): Queued | undefined {
    if (refused) return undefined
    const item = internals.commandQueue.shift()
    if (item === undefined) detailed('a reply that no command waits for')
    return item
  }

  /** The command's own failure, which its caller must receive. */
  function misled(item: Queued, problem: string): void {
    const error = failure('RedisReplyRefused', { address: label, detail: problem })
    refuse(error)
    item.command.reject(error)
  }

  const parser = createReplyParser(limits, {
    sink(ended) {
      if (sinks === undefined || internals.commandQueue.peekAt(0)?.command.name !== 'xreadgroup') return undefined
      return sinks.begin((read) => {
        ended()
        completed = true
        // Typed as a reply of lists; the reader, which sends the command, knows better.
        answered()?.command.resolve(read as unknown as Buffer)
      })
    },
    reply(value: Reply) {
      completed = true
      const item = answered()
      if (item === undefined) return
      const problem = misshapen(item.command, value)
      if (problem === undefined) item.command.resolve(value as Buffer)
      else misled(item, problem)
    },
    error(error: Error) {
      completed = true
      const item = answered()
      if (item === undefined) return
      const problem = misdirecting(error)
      if (problem !== undefined) return misled(item, problem)
      const { name, args } = item.command
      internals.handleReconnection(Object.assign(error, { command: { name, args } }), item)
    },
  })

  return (piece) => {
    if (refused) return
    try {
      completed = false
      const problem = parser.write(piece)
      if (problem !== undefined) return detailed(problem)
      share?.set(parser.held)
      if (!parser.incomplete) begunMs = undefined
      else if (completed || begunMs === undefined) begunMs = performance.now()
      else if (performance.now() - begunMs > limits.ms) detailed(`a reply that does not end within ${limits.ms / 1000} s`)
    } catch (thrown) {
      // A handler of a reply failed. From then on it is unknown which command the next reply answers.
      refuse(asFailure(thrown))
    }
  }
}
