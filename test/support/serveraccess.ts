/** How a test reaches an API server, be it its own or a borrowed one: address, users, kubectl, audit log. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type AuditedRequest, type AuditMark, auditedSince, logBegin } from './auditlog.ts'
import { createKubeClient, type KubeClient, kubeconfigOf } from './kubeclient.ts'
import { type Completed, run } from './process.ts'
import type { Scope } from './scope.ts'

export interface KubectlRequest {
  /** For `-f -`. */
  input?: string
  /** One of the server's users; default: the administrator. */
  user?: string
  /** More variables. */
  env?: Readonly<Record<string, string>>
}

export interface ApiServer {
  readonly url: string
  readonly port: number
  /** Base64 of the PEM, as a kubeconfig holds it. */
  readonly caData: string
  /** Its own key and certificate for 127.0.0.1, with which something before it can pass for it. */
  readonly identity: { readonly key: string; readonly cert: string }
  /** The administrator's (group system:masters). */
  readonly token: string
  /** Path of the administrator's kubeconfig file; its namespace is `default`. */
  readonly kubeconfig: string
  user(name: string): Promise<{ token: string; kubeconfig: string }>
  /** Never throws for a failure of kubectl: read `code`. */
  kubectl(args: readonly string[], request?: KubectlRequest | string): Promise<Completed>
  /** Those of the audit log, of a borrowed server since it was borrowed. */
  requests(): Promise<AuditedRequest[]>
}

/** Where a running server is, in a form that can be written to a file for other processes. */
export interface ServerPlace {
  readonly port: number
  readonly etcdPort: number
  /** It holds the server's certificate and its audit log. */
  readonly folder: string
  /** By user. */
  readonly tokens: Readonly<Record<string, string>>
}

const urlOf = ({ port }: ServerPlace): string => `https://127.0.0.1:${port}`
const tlsOf = ({ folder }: ServerPlace, end: 'crt' | 'key'): Promise<string> =>
  readFile(join(folder, 'tls', `apiserver.${end}`), 'utf8')

/** As the administrator. */
export const clientOf = async (place: ServerPlace): Promise<KubeClient> =>
  createKubeClient(urlOf(place), await tlsOf(place, 'crt'), place.tokens['admin'] ?? '')

export const auditLogOf = ({ folder }: ServerPlace): string => join(folder, 'audit.log')

interface AccessOptions {
  readonly place: ServerPlace
  readonly kubectl: string
  /** For kubeconfig files and kubectl's cache, which is by address: a server that is another one later has another cache. */
  readonly folder: string
  readonly since?: AuditMark
}

/** @param scope ends what kubectl leaves running */
export const accessTo = async (scope: Scope, { place, kubectl, folder, since = logBegin }: AccessOptions): Promise<ApiServer> => {
  const { port, tokens } = place
  const url = urlOf(place)
  const [cert, key] = await Promise.all([tlsOf(place, 'crt'), tlsOf(place, 'key')])
  const caData = Buffer.from(cert).toString('base64')
  const user = async (name: string): Promise<{ token: string; kubeconfig: string }> => {
    const token = tokens[name]
    if (token === undefined) throw new Error(`no user ${name} among ${Object.keys(tokens)}: name it in startApiServer's users`)
    const kubeconfig = join(folder, `${name}.kubeconfig`)
    await writeFile(kubeconfig, kubeconfigOf(url, caData, name, token), { mode: 0o600 })
    return { token, kubeconfig }
  }
  const admin = await user('admin')
  return {
    url,
    port,
    caData,
    identity: { key, cert },
    token: admin.token,
    kubeconfig: admin.kubeconfig,
    user,
    async kubectl(args, request = {}) {
      const { input, user: name, env: more } = typeof request === 'string' ? { input: request } : request
      const { kubeconfig } = name === undefined ? admin : await user(name)
      const env = { KUBECONFIG: kubeconfig, KUBECACHEDIR: join(folder, 'kubectl'), ...more }
      return run(scope, args, { command: kubectl, env, ...(input === undefined ? {} : { input }) })
    },
    requests: () => auditedSince(auditLogOf(place), since),
  }
}
