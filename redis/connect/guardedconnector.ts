/**
 * Connects only where a reach allows it. The judged address is the one that the socket uses. The socket resolves the name once, through a
 * `lookup` that passes only allowed addresses. The same connector connects to a server that Sentinels name, and to each node that a cluster
 * announces or redirects to.
 *
 * A refusal is an error of the socket. ioredis treats it as any other failed connection, and tries again later.
 */
import { type LookupAddress, type LookupOptions, lookup } from 'node:dns'
import { type LookupFunction, createConnection as netConnect } from 'node:net'
import { connect as tlsConnect } from 'node:tls'
import { AbstractConnector, type RedisOptions, SentinelConnector } from 'ioredis'
import { failure, StreamPipelineError } from '../../api/errors.ts'
import { addressRefusal, nameRefusal, type Reach } from './reach.ts'

type ConnectorConstructor = NonNullable<RedisOptions['Connector']>
type Stream = Awaited<ReturnType<AbstractConnector['connect']>>

type OnRefused = (refusal: StreamPipelineError) => void

/** Resolves as the system does, and leaves out forbidden addresses. */
function guardedLookup(reach: Reach): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...(options as LookupOptions), all: true }, (error, found) => {
      if (error !== null) return void callback(error, '', 0)
      const refusals: StreamPipelineError[] = []
      const allowed = found.filter(({ address }) => {
        const refusal = addressRefusal(reach, hostname, address)
        if (refusal !== undefined) refusals.push(refusal)
        return refusal === undefined
      })
      const [first] = allowed
      if (first === undefined) return void callback(refusals[0] ?? new Error(`${hostname} has no address`), '', 0)
      if (options.all === true) callback(null, allowed as LookupAddress[])
      else callback(null, first.address, first.family)
    })
  }
}

interface Endpoint {
  readonly host: string
  readonly port: number
}

/** The options of a socket, with a resolver that passes only allowed addresses. */
function guardedEndpoint(reach: Reach, endpoint: Endpoint): Endpoint & { readonly lookup: LookupFunction } {
  const refusal = nameRefusal(reach, endpoint.host)
  if (refusal === undefined) return { ...endpoint, lookup: guardedLookup(reach) }
  // An address would skip the lookup. This name is never resolved.
  return { ...endpoint, host: 'refused.invalid', lookup: (_host, _options, callback) => callback(refusal, '', 0) }
}

function guardedStream(reach: Reach, { host = 'localhost', port = 6379, tls }: RedisOptions): Stream {
  const to = guardedEndpoint(reach, { host, port })
  return tls === undefined ? netConnect(to) : tlsConnect({ ...tls, ...to })
}

/** For one server: a pipeline's, a Sentinel, or a node of a cluster. */
export function guardedConnector(reach: Reach, onRefused: OnRefused = () => {}): ConnectorConstructor {
  return class extends AbstractConnector {
    readonly #options: RedisOptions

    constructor(options: unknown) {
      const given = options as RedisOptions
      super(given.disconnectTimeout ?? 2_000)
      this.#options = given
    }

    override async connect(): Promise<Stream> {
      this.connecting = true
      await new Promise<void>((resolve) => process.nextTick(resolve))
      if (!this.connecting) throw new Error('Connection is closed.')
      const stream = guardedStream(reach, this.#options)
      this.stream = stream
      stream.once('error', (error) => {
        this.firstError = error
        if (error instanceof StreamPipelineError) onRefused(error)
      })
      return stream
    }
  } as ConnectorConstructor
}

type Client = InstanceType<typeof import('ioredis').Redis>

/**
 * For a master that Sentinels name. ioredis' own connector finds it. Each instance gets replacements of two methods: the one that makes
 * clients of Sentinels, and the one that asks one of them for the master. The connector has no other such methods.
 */
export function guardedSentinelConnector(reach: Reach): ConnectorConstructor {
  return class extends SentinelConnector {
    constructor(options: unknown) {
      super(options as ConstructorParameters<typeof SentinelConnector>[0])
      const toSentinel = methodOf<(endpoint: unknown, more?: object) => Client>(this, 'connectToSentinel')
      const master = methodOf<(client: Client) => Promise<Endpoint | null>>(this, 'resolveMaster')
      Reflect.set(this, 'connectToSentinel', (endpoint: unknown, more?: object) =>
        toSentinel.call(this, endpoint, { ...more, Connector: guardedConnector(reach) }),
      )
      Reflect.set(this, 'resolveMaster', async (client: Client) => {
        const found = await master.call(this, client)
        return found === null ? null : guardedEndpoint(reach, found)
      })
    }
  } as ConnectorConstructor
}

/** Another release of ioredis would connect unguarded; that must not happen. */
function methodOf<T>(connector: object, name: string): T {
  const method: unknown = Reflect.get(connector, name)
  if (typeof method === 'function') return method as T
  throw failure('Internal', { detail: `this ioredis has no ${name}, so that connections through Sentinels cannot be limited` })
}
