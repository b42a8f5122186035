/**
 * How sockets end. A socket that is ended during a TLS handshake can fail twice: for the certificate, and for the server's answer
 * to the early end. ioredis listens once, and the second error would end the process. ioredis also gives each socket two seconds to
 * close, even a closed one. That keeps the process alive.
 *
 * Some connections belong to ioredis or BullMQ alone: those that ask a Sentinel or a node of a cluster, a cluster's subscriber, and
 * a worker's blocking one. A connection that asks is given up when it hangs. They are reached through the connection that makes
 * them. Nothing of ioredis itself is changed: an application may use the same copy for connections of its own.
 */
import type { Cluster, Redis } from 'ioredis'

interface Connector {
  stream?: Redis['stream']
  disconnect(): void
  connectToSentinel?(endpoint: unknown, options?: object): Redis
}

/** The subscriber of a cluster: an object that makes one connection after another. */
interface Subscriber {
  subscriber?: Redis | null
  selectSubscriber?(): void
}

/** Covers what the connection makes: duplicates, and those that ask Sentinels. Call it before the connection connects. */
export function endCleanly(connection: Redis): void {
  const { connector } = connection as unknown as { readonly connector: Connector }
  const { disconnect, connectToSentinel } = connector
  connector.disconnect = () => {
    connector.stream?.on('error', ignoreLastWords)
    if (connector.stream?.closed) delete connector.stream
    disconnect.call(connector)
  }
  if (connectToSentinel !== undefined) {
    connector.connectToSentinel = (endpoint, options) => {
      const asking = connectToSentinel.call(connector, endpoint, options)
      endCleanly(asking)
      return asking
    }
  }
  const { duplicate } = connection
  connection.duplicate = (override) => {
    const copy = duplicate.call(connection, override)
    endCleanly(copy)
    return copy
  }
}

/** Covers all nodes of a cluster, also those found later, and its duplicates. Call it before the cluster connects. */
export function endNodesCleanly(cluster: Cluster): void {
  cluster.on('+node', endCleanly)
  const subscribing = Reflect.get(cluster, 'subscriber') as Subscriber | undefined
  const select = subscribing?.selectSubscriber
  if (subscribing !== undefined && select !== undefined) {
    subscribing.selectSubscriber = () => {
      select.call(subscribing)
      const made = subscribing.subscriber
      if (made !== null && made !== undefined) endCleanly(made)
    }
  }
  const { duplicate } = cluster
  cluster.duplicate = (nodes, options) => {
    const copy = duplicate.call(cluster, nodes, options)
    endNodesCleanly(copy)
    return copy
  }
}

/**
 * A connection that was not ended can fail twice, too. The server demands a client certificate that is missing, and then resets the
 * connection.
 */
export function outliveSecondError(connection: Redis): void {
  connection.on('error', () => void connection.stream?.on('error', ignoreLastWords))
}

/** Of a socket that is given up: what failed before is known. */
function ignoreLastWords() {}
