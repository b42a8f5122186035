/**
 * From a RedisTarget, which names Secrets, to a RedisAddress, which holds everything needed to connect. Only here do secret
 * values enter the program; an address is never logged, its `label` is what may be shown.
 */
import type { HostPort, RedisTarget, Reference } from '../../api/compiled.ts'
import { failure } from '../../api/errors.ts'
import { isDataKey, isObjectName } from '../../api/names.ts'
import type { Reach } from './reach.ts'
import { readInside } from './referencefolder.ts'

/** Reads one key of a Secret or ConfigMap. Throws ReferenceMissing. */
export interface ReadReference {
  (reference: Reference): Promise<string>
  /**
   * True: the reader reads files of this machine, whose user may name a Unix socket there. The operator's reader does not: a Secret of any
   * namespace would choose among the sockets of the operator's pod.
   */
  readonly local?: boolean
}

export interface TlsAddress {
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
  readonly serverName?: string | undefined
}

interface Credentials {
  /** host:port or host:port,host:port…; safe to show. */
  readonly label: string
  readonly username?: string | undefined
  readonly password?: string | undefined
  readonly tls?: TlsAddress | undefined
  /** Addresses to which connections may lead, redirections included. Undefined: all. */
  readonly reach?: Reach | undefined
}

export type RedisAddress =
  | ({
      readonly kind: 'Server'
      readonly host: string
      readonly port: number
      readonly database: number
      /** Path of a Unix socket, which replaces host and port. */
      readonly socket?: string
    } & Credentials)
  | ({
      readonly kind: 'Sentinel'
      readonly master: string
      readonly nodes: readonly HostPort[]
      readonly database: number
      readonly sentinelUsername?: string | undefined
      readonly sentinelPassword?: string | undefined
    } & Credentials)
  | ({ readonly kind: 'Cluster'; readonly nodes: readonly HostPort[] } & Credentials)

/** Reads references as the operator mounts them: `DIR/secret/NAME/KEY`, `DIR/configmap/NAME/KEY`. */
export function directoryReader(directory: string | undefined): ReadReference {
  const read = async (reference: Reference) => {
    const missing = (detail: string, cause?: unknown) => failure('ReferenceMissing', { ...reference, detail }, cause)
    if (directory === undefined) throw missing('no folder of references was given; name one with --refs DIR')
    const { kind, name, key } = reference
    // Invalid names could lead out of the folder.
    if (!isObjectName(name) || !isDataKey(key)) throw missing('no object can have that name or key')
    const path = [kind === 'Secret' ? 'secret' : 'configmap', name, key]
    const reading = await readInside(directory, ...path)
    switch (reading.kind) {
      case 'Read':
        return reading.text
      case 'Refused':
        throw missing(`the file ${[directory, ...path].join('/')} ${reading.why}`)
      case 'Failed':
        throw missing(`${[directory, ...path].join('/')} cannot be read`, reading.cause)
      default:
        throw reading satisfies never
    }
  }
  return Object.assign(read, { local: true })
}

/** Resolves every reference of a target. Throws ReferenceMissing, and InvalidReference for a value that cannot be used. */
export async function resolveTarget(target: RedisTarget, read: ReadReference): Promise<RedisAddress> {
  const value = async (reference: Reference | undefined) =>
    reference === undefined ? undefined : trimNewline(await read(reference))
  const given = {
    username: await value(target.username),
    password: await value(target.password),
    tls: target.tls && {
      ca: await value(target.tls.ca),
      cert: await value(target.tls.cert),
      key: await value(target.tls.key),
      serverName: target.tls.serverName,
    },
  }
  switch (target.kind) {
    case 'Url':
      return fromUrl(target.url, given, () => failure('InvalidOption', { option: 'spec.redis.url', detail: urlForm }))
    case 'UrlFrom': {
      const { from } = target
      const url = (await read(from)).trim()
      const socket = read.local === true ? socketOf(url) : undefined
      if (socket !== undefined) return atSocket(socket, given)
      return fromUrl(url, given, () => failure('InvalidReference', { ...from, detail: urlForm }))
    }
    case 'Sentinel':
      return {
        kind: target.kind,
        master: target.master,
        nodes: target.nodes,
        database: target.database,
        sentinelUsername: await value(target.sentinelUsername),
        sentinelPassword: await value(target.sentinelPassword),
        label: `${target.master} (Sentinel ${nodeList(target.nodes)})`,
        ...given,
      }
    case 'Cluster':
      return { kind: target.kind, nodes: target.nodes, label: nodeList(target.nodes), ...given }
    default:
      return target satisfies never
  }
}

const urlForm = 'it must have the form redis://host:port/database, or rediss:// for TLS'

interface Given {
  readonly username: string | undefined
  readonly password: string | undefined
  readonly tls: TlsAddress | undefined
}

function fromUrl(text: string, given: Given, refused: () => Error): RedisAddress {
  const address = parseRedisUrl(text, given)
  if (address === undefined) throw refused()
  return address
}

/** The path in `unix:///path`; undefined for any other text. */
function socketOf(url: string): string | undefined {
  const path = url.startsWith('unix:///') ? unescaped(url.slice('unix://'.length)) : undefined
  return path === undefined || path.includes('\0') ? undefined : path
}

/** The address of a local run's own Redis: database 0, without TLS, since nothing lies between the two ends. */
function atSocket(socket: string, { username, password }: Given): RedisAddress {
  return { kind: 'Server', host: 'localhost', port: 0, database: 0, socket, label: `unix://${socket}`, username, password }
}

const nothingGiven: Given = { username: undefined, password: undefined, tls: undefined }

/** Undefined: it lacks the form `redis://[user:password@]host:port/database`. Values given beside it take precedence. */
export function parseRedisUrl(text: string, given: Given = nothingGiven): Extract<RedisAddress, { kind: 'Server' }> | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const database = url === undefined ? undefined : databaseOf(url.pathname)
  if (url === undefined || database === undefined || !/^rediss?:$/.test(url.protocol) || url.hostname === '') return undefined
  const [username, password] = [url.username, url.password].map(unescaped)
  if (username === undefined || password === undefined) return undefined
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = url.port === '' ? 6379 : Number(url.port)
  return {
    kind: 'Server' as const,
    host,
    port,
    database,
    label: `${host}:${port}`,
    username: given.username ?? (username || undefined),
    password: given.password ?? (password || undefined),
    tls: url.protocol === 'rediss:' ? (given.tls ?? {}) : given.tls,
  }
}

/** Undefined when its percent signs are not UTF-8: a raw password with a percent sign, most likely. */
function unescaped(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

function databaseOf(path: string): number | undefined {
  const match = /^\/?([0-9]{0,5})$/.exec(path)
  return match === null ? undefined : Number(match[1] || '0')
}

/** `kubectl create secret --from-file` keeps an editor's last newline; no password ends in one. */
function trimNewline(text: string): string {
  return text.replace(/\r?\n$/, '')
}

function nodeList(nodes: readonly HostPort[]): string {
  return nodes.map((node) => `${node.host}:${node.port}`).join(',')
}
