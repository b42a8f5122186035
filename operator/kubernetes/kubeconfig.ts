/**
 * A kubeconfig as kubectl reads it. client-node knows certificates, passwords, tokens and OIDC. This closes the gaps, so that both talk to the
 * same cluster as the same user:
 *
 * - KUBECONFIG may list several files. If more than one has an entry of some name, the first of them decides. The first file that
 * names a current context decides on that. Missing ones are skipped.
 * - A relative path starts at the folder of its file: certificates, keys, `tokenFile`, and a plugin's command with a slash in it.
 * - Data in the file wins over the path of a file.
 * - `tokenFile`, plugins and proxies are left to tokenfile.ts, execplugin.ts and tunnel.ts: client-node would go on with
 * credentials that the API server has refused.
 *
 * https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
 */
import { dirname, resolve } from 'node:path'
import { parse } from 'yaml'
import { failure } from '../../api/errors.ts'
import { isRecord } from '../../api/validation/problem.ts'

export interface KubeconfigFile {
  readonly path: string
  readonly text: string
}

type Fields = Readonly<Record<string, unknown>>

interface Named {
  readonly name: string
  readonly fields: Fields
}

interface Kubeconfig {
  readonly currentContext: string
  readonly clusters: readonly Named[]
  readonly contexts: readonly Named[]
  readonly users: readonly Named[]
}

const lists = { clusters: 'cluster', contexts: 'context', users: 'user' } as const
type List = keyof typeof lists

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

function absolute(fields: Fields, names: readonly string[], folder: string): Fields {
  const found = names.filter((name) => textOf(fields[name]) !== '')
  return { ...fields, ...Object.fromEntries(found.map((name) => [name, resolve(folder, textOf(fields[name]))])) }
}

/** A command without a slash is looked for in PATH. */
function absoluteCommand(fields: Fields, folder: string): Fields {
  const { exec } = fields
  if (!isRecord(exec) || !textOf(exec['command']).includes('/')) return fields
  return { ...fields, exec: absolute(exec, ['command'], folder) }
}

function located(list: List, fields: Fields, folder: string): Fields {
  switch (list) {
    case 'clusters':
      return absolute(fields, ['certificate-authority'], folder)
    case 'users':
      return absoluteCommand(absolute(fields, ['client-certificate', 'client-key', 'tokenFile'], folder), folder)
    case 'contexts':
      return fields
    default:
      return list satisfies never
  }
}

function readFile({ path, text }: KubeconfigFile): Kubeconfig {
  let document: unknown
  try {
    document = parse(text)
  } catch (thrown) {
    throw failure('UnreadableFile', { file: path, detail: thrown instanceof Error ? thrown.message : String(thrown) }, thrown)
  }
  // An empty file is a kubeconfig without an entry.
  const found = document ?? {}
  if (!isRecord(found)) throw failure('UnreadableFile', { file: path, detail: 'it is no kubeconfig' })
  const folder = dirname(resolve(path))
  const entriesOf = (list: List): readonly Named[] => {
    const entries = found[list]
    return (Array.isArray(entries) ? (entries as readonly unknown[]) : []).filter(isRecord).map((entry) => {
      const fields = entry[lists[list]]
      return { name: textOf(entry['name']), fields: located(list, isRecord(fields) ? fields : {}, folder) }
    })
  }
  return {
    currentContext: textOf(found['current-context']),
    clusters: entriesOf('clusters'),
    contexts: entriesOf('contexts'),
    users: entriesOf('users'),
  }
}

const firstOfEach = (entries: readonly Named[]): readonly Named[] =>
  entries.filter(({ name }, index) => entries.findIndex((each) => each.name === name) === index)

/** Data wins over the path of a file, as with kubectl; with client-node it is the other way round. */
function withoutOutdone(fields: Fields, names: readonly string[]): Fields {
  const outdone = new Set(names.filter((name) => textOf(fields[`${name}-data`]) !== ''))
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !outdone.has(name)))
}

/**
 * client-node accepts an `http:` server only with insecure-skip-tls-verify. For a proxy-url it would make an agent, which the
 * transport does not use.
 */
function clusterForClientNode({ 'proxy-url': _, ...fields }: Fields): Fields {
  const plain = textOf(fields['server']).startsWith('http:') ? { 'insecure-skip-tls-verify': true } : {}
  return { ...withoutOutdone(fields, ['certificate-authority']), ...plain }
}

/** A file with a token wins over a token that is written out, and that over a plugin. */
function userForClientNode({ tokenFile, exec: _, ...fields }: Fields): Fields {
  const { token: __, ...rest } = fields
  return withoutOutdone(textOf(tokenFile) === '' ? fields : rest, ['client-certificate', 'client-key'])
}

/** To leave one of these out would act with other rights than its author meant. */
const unsupported = ['as-groups', 'as-uid', 'as-user-extra']

/** kubectl refuses it too: the CA would stand there for nothing. */
function refuseContradiction(cluster: Fields): void {
  const hasCa = ['certificate-authority', 'certificate-authority-data'].some((name) => textOf(cluster[name]) !== '')
  if (hasCa && cluster['insecure-skip-tls-verify'] === true)
    throw failure('InvalidOption', {
      option: 'kubeconfig',
      detail: 'its cluster has insecure-skip-tls-verify beside a certificate authority: remove one of them',
    })
}

function refuseUnsupported(user: Fields): void {
  const odd = unsupported.find((name) => user[name] !== undefined && user[name] !== null)
  if (odd !== undefined)
    throw failure('InvalidOption', {
      option: 'kubeconfig',
      detail: `its user has ${odd}, which is not supported: use "as" alone`,
    })
}

const anonymous = 'anonymous'

export interface MergedKubeconfig {
  /** JSON, for client-node. */
  readonly text: string
  /** Of the current context; undefined: it names none. */
  readonly cluster: Fields | undefined
  readonly user: Fields
}

/**
 * One kubeconfig of several files, the first of which has the last word.
 * @throws UnreadableFile for a file that is none; InvalidOption if the current user impersonates more than a user
 */
export function mergedKubeconfig(files: readonly KubeconfigFile[]): MergedKubeconfig {
  const read = files.map(readFile)
  const all = (list: List) => firstOfEach(read.flatMap((each) => each[list]))
  const [clusters, users] = [all('clusters'), all('users')]
  // client-node leaves out the cluster's CA where a context has no user.
  const contexts = all('contexts').map(
    ({ name, fields }): Named => ({ name, fields: { ...fields, user: fields['user'] ?? anonymous } }),
  )
  const current = read.map(({ currentContext }) => currentContext).find((name) => name !== '') ?? ''
  const context = contexts.find(({ name }) => name === current)?.fields
  const cluster = clusters.find(({ name }) => name === context?.['cluster'])?.fields
  const user = users.find(({ name }) => name === context?.['user'])?.fields ?? {}
  if (cluster !== undefined) refuseContradiction(cluster)
  refuseUnsupported(user)
  const written = (list: List, entries: readonly Named[], form: (fields: Fields) => Fields = (fields) => fields) =>
    entries.map(({ name, fields }) => ({ name, [lists[list]]: form(fields) }))
  const text = JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': current,
    clusters: written('clusters', clusters, clusterForClientNode),
    contexts: written('contexts', contexts),
    users: written('users', firstOfEach([...users, { name: anonymous, fields: {} }]), userForClientNode),
  })
  return { text, cluster, user }
}
