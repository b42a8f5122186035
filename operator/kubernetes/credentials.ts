/**
 * Where the API server is and how to prove who we are, as plain data for our own transport. kubeconfig.ts finds and merges files, client-node
 * reads certificates, passwords, tokens and OIDC, and our own parts take care of what changes while the operator runs.
 */
import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { KubeConfig } from '@kubernetes/client-node'
import { failure, StreamPipelineError } from '../../api/errors.ts'
import { isRecord } from '../../api/validation/problem.ts'
import { createExecPlugin, type ExecPlugin } from './execplugin.ts'
import { type KubeconfigFile, type MergedKubeconfig, mergedKubeconfig } from './kubeconfig.ts'
import { proxyOf } from './proxies.ts'
import { createTokenFile, type TokenFile } from './tokenfile.ts'

export interface Credentials {
  /** `https://10.96.0.1:443` */
  readonly server: string
  readonly headers: Readonly<Record<string, string>>
  /** `http://proxy:3128`, through which the server is reached: the kubeconfig's `proxy-url`, or what the environment names. */
  readonly proxy?: string
  readonly tls: {
    readonly ca?: string | Buffer
    readonly cert?: string | Buffer
    readonly key?: string | Buffer
    readonly rejectUnauthorized?: boolean
    /** May be an address, which is then no SNI. */
    readonly servername?: string
  }
}

export interface CredentialSource {
  /** Of the kubeconfig's current context, or of the pod; undefined where neither says. */
  readonly namespace: string | undefined
  current(): Promise<Credentials>
  /** The API server refused the last ones: they are not given again where there may be newer ones. */
  distrust(): void
}

type Environment = Readonly<Record<string, string | undefined>>
type Fields = Readonly<Record<string, unknown>>
type TlsMaterial = string | Buffer

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

/**
 * @param file path of a kubeconfig; undefined: KUBECONFIG, ~/.kube/config, then the pod's own ServiceAccount
 * @throws UnreadableFile, InvalidOption
 */
export function loadCredentials(file?: string, env: Environment = process.env): CredentialSource {
  const config = new KubeConfig()
  const files = kubeconfigFiles(file, env)
  const merged = files.length === 0 ? inCluster(env) : mergedKubeconfig(files)
  try {
    config.loadFromString(merged.text)
  } catch (thrown) {
    throw unreadable(file ?? 'the kubeconfig', thrown)
  }
  if (merged.cluster === undefined)
    throw failure('InvalidOption', { option: 'kubeconfig', detail: 'its current context names no cluster' })
  const server = textOf(merged.cluster['server']).replace(/\/+$/, '')
  const proxy = proxyUrlOf(merged.cluster) ?? proxyOf(server, env)
  const { bearer, plugin } = ownParts(merged)

  return {
    namespace: config.getContextObject(config.getCurrentContext())?.namespace ?? podNamespace(),
    async current() {
      const options: Record<string, unknown> = {}
      const read = async () => {
        await config.applyToHTTPSOptions(options)
        return { token: await bearer?.current(), ...(await plugin?.current()) }
      }
      const own = await read().catch((thrown: unknown) => {
        const detail = thrown instanceof Error ? thrown.message.trim() : String(thrown)
        throw failure('KubernetesUnauthorized', { detail: `the kubeconfig’s plugin or file gives none: ${detail}` }, thrown)
      })
      const { cert = options['cert'], key = options['key'] } = own as { cert?: string; key?: string }
      return {
        server,
        headers: headersOf(options, own.token),
        ...(proxy === undefined ? {} : { proxy }),
        tls: {
          ...(options['ca'] === undefined ? {} : { ca: options['ca'] as TlsMaterial }),
          ...(cert === undefined ? {} : { cert: cert as TlsMaterial }),
          ...(key === undefined ? {} : { key: key as TlsMaterial }),
          ...(options['rejectUnauthorized'] === undefined ? {} : { rejectUnauthorized: options['rejectUnauthorized'] === true }),
          ...(typeof options['servername'] === 'string' ? { servername: options['servername'] } : {}),
        },
      }
    },
    distrust() {
      plugin?.distrust()
    },
  }
}

interface OwnParts {
  readonly bearer?: TokenFile
  readonly plugin?: ExecPlugin
}

/** Of several the first counts: a file with a token, a token or a password, a plugin. */
function ownParts({ user, cluster = {} }: MergedKubeconfig): OwnParts {
  if (textOf(user['tokenFile']) !== '') return { bearer: createTokenFile(textOf(user['tokenFile'])) }
  if (!isRecord(user['exec']) || textOf(user['token']) !== '' || textOf(user['username']) !== '') return {}
  return { plugin: createExecPlugin(user['exec'], () => clusterForPlugins(cluster)) }
}

/** Field by field as kubectl passes it: a CA as data, and the extension that is meant for plugins as `config`. */
function clusterForPlugins(cluster: Fields): Fields {
  const names = ['server', 'tls-server-name', 'insecure-skip-tls-verify', 'proxy-url', 'disable-compression']
  const given = names.filter((name) => cluster[name] !== undefined).map((name) => [name, cluster[name]])
  const file = textOf(cluster['certificate-authority'])
  const ca = textOf(cluster['certificate-authority-data']) || (file === '' ? '' : readFileSync(file, 'base64'))
  const extensions = Array.isArray(cluster['extensions']) ? (cluster['extensions'] as readonly unknown[]).filter(isRecord) : []
  const extension = extensions.find(({ name }) => name === 'client.authentication.k8s.io/exec')
  return {
    ...Object.fromEntries(given),
    ...(ca === '' ? {} : { 'certificate-authority-data': ca }),
    config: extension?.['extension'] ?? null,
  }
}

function headersOf(options: Fields, token: string | undefined): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries((options['headers'] ?? {}) as Fields)) headers[name] = String(value).trim()
  if (typeof options['auth'] === 'string') headers['Authorization'] = `Basic ${Buffer.from(options['auth']).toString('base64')}`
  if (token !== undefined) headers['Authorization'] = `Bearer ${token}`
  return headers
}

/** The message has no part of the value, which may hold a password. */
function proxyUrlOf(cluster: Fields): string | undefined {
  const value = textOf(cluster['proxy-url'])
  if (value === '') return undefined
  const way = URL.parse(value)?.protocol
  if (way === undefined || !['http:', 'https:', 'socks5:'].includes(way))
    throw failure('InvalidOption', {
      option: 'kubeconfig',
      detail: 'its proxy-url is neither http://, https:// nor socks5://',
    })
  return value
}

function unreadable(file: string, thrown: unknown): StreamPipelineError {
  if (thrown instanceof StreamPipelineError) return thrown
  return failure('UnreadableFile', { file, detail: thrown instanceof Error ? thrown.message : String(thrown) }, thrown)
}

const podFolder = '/var/run/secrets/kubernetes.io/serviceaccount'

/** A pod's own API server and ServiceAccount, in the form of a kubeconfig. */
function inCluster(env: Environment): MergedKubeconfig {
  const { KUBERNETES_SERVICE_HOST: host = '', KUBERNETES_SERVICE_PORT: port = '443', KUBECONFIG: listed = '' } = env
  if (host === '') {
    const detail =
      listed === '' ? 'it does not exist, and this process does not run in a pod' : 'KUBECONFIG names no file that exists'
    throw failure('UnreadableFile', { file: listed === '' ? usualFile() : listed, detail })
  }
  const server = `https://${host.includes(':') ? `[${host}]` : host}:${port}`
  const named = {
    clusters: [{ name: 'pod', cluster: { server, 'certificate-authority': `${podFolder}/ca.crt` } }],
    users: [{ name: 'pod', user: { tokenFile: `${podFolder}/token` } }],
    contexts: [{ name: 'pod', context: { cluster: 'pod', user: 'pod' } }],
  }
  return mergedKubeconfig([{ path: 'the pod', text: JSON.stringify({ 'current-context': 'pod', ...named }) }])
}

const usualFile = (): string => join(homedir(), '.kube', 'config')

/** Those that kubectl would read. None: a pod's ServiceAccount is left. Only a file that was asked for by name must be there. */
function kubeconfigFiles(file: string | undefined, env: Environment): readonly KubeconfigFile[] {
  const listed = (env['KUBECONFIG'] ?? '').split(delimiter).filter((path) => path !== '')
  const usual = listed.length > 0 ? listed : [usualFile()]
  const paths = file === undefined ? usual.filter((path) => existsSync(path)) : [file]
  return paths.map((path) => {
    try {
      return { path, text: readFileSync(path, 'utf8') }
    } catch (thrown) {
      throw unreadable(path, thrown)
    }
  })
}

function podNamespace(): string | undefined {
  try {
    return readFileSync(join(podFolder, 'namespace'), 'utf8').trim()
  } catch {
    // Not in a pod: there is simply no namespace to learn from here.
    return undefined
  }
}
