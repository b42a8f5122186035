/**
 * Where the API server is and how to prove who we are. client-node knows every form a kubeconfig may take (files, exec plugins,
 * OIDC, in-cluster tokens that rotate) and keeps tokens fresh; this turns its answer into plain data for our own transport.
 */
import { readFileSync } from 'node:fs'
import { KubeConfig } from '@kubernetes/client-node'
import { failure } from '../../api/errors.ts'

export interface Credentials {
  /** `https://10.96.0.1:443` */
  readonly server: string
  readonly headers: Readonly<Record<string, string>>
  /** `http://proxy:3128`, through which the server is reached: the kubeconfig's `proxy-url`. */
  readonly proxy?: string
  readonly tls: {
    readonly ca?: string | Buffer
    readonly cert?: string | Buffer
    readonly key?: string | Buffer
    readonly rejectUnauthorized?: boolean
    readonly servername?: string
  }
}

export interface CredentialSource {
  /** Of the kubeconfig's current context, or of the pod; undefined where neither says. */
  readonly namespace: string | undefined
  current(): Promise<Credentials>
}

type TlsMaterial = string | Buffer

/** @param file path of a kubeconfig; undefined: KUBECONFIG, ~/.kube/config, then the pod's own ServiceAccount */
export function loadCredentials(file?: string): CredentialSource {
  const config = new KubeConfig()
  try {
    if (file === undefined) config.loadFromDefault()
    else config.loadFromFile(file)
  } catch (thrown) {
    throw failure(
      'UnreadableFile',
      { file: file ?? 'the kubeconfig', detail: thrown instanceof Error ? thrown.message : String(thrown) },
      thrown,
    )
  }
  const cluster = config.getCurrentCluster()
  if (cluster === null) throw failure('InvalidOption', { option: 'kubeconfig', detail: 'its current context names no cluster' })
  const way = cluster.proxyUrl ? URL.parse(cluster.proxyUrl)?.protocol : undefined
  if (cluster.proxyUrl && way !== 'http:' && way !== 'https:')
    throw failure('InvalidOption', { option: 'kubeconfig', detail: 'its proxy-url is neither http:// nor https://' })
  return {
    namespace: config.getContextObject(config.getCurrentContext())?.namespace ?? podNamespace(),
    async current() {
      const options: Record<string, unknown> = {}
      await config.applyToHTTPSOptions(options)
      const headers: Record<string, string> = {}
      for (const [name, value] of Object.entries((options['headers'] ?? {}) as Record<string, unknown>))
        headers[name] = String(value)
      if (typeof options['auth'] === 'string')
        headers['Authorization'] = `Basic ${Buffer.from(options['auth']).toString('base64')}`
      return {
        server: cluster.server.replace(/\/+$/, ''),
        headers,
        ...(cluster.proxyUrl ? { proxy: cluster.proxyUrl } : {}),
        tls: {
          ...(options['ca'] === undefined ? {} : { ca: options['ca'] as TlsMaterial }),
          ...(options['cert'] === undefined ? {} : { cert: options['cert'] as TlsMaterial }),
          ...(options['key'] === undefined ? {} : { key: options['key'] as TlsMaterial }),
          ...(options['rejectUnauthorized'] === undefined ? {} : { rejectUnauthorized: options['rejectUnauthorized'] === true }),
          ...(typeof options['servername'] === 'string' ? { servername: options['servername'] } : {}),
        },
      }
    },
  }
}

function podNamespace(): string | undefined {
  try {
    return readFileSync('/var/run/secrets/kubernetes.io/serviceaccount/namespace', 'utf8').trim()
  } catch {
    // Not in a pod: there is simply no namespace to learn from here.
    return undefined
  }
}
