/**
 * A private Kubernetes API server: etcd and kube-apiserver, and kube-controller-manager where a test needs its controllers (a bare
 * API server collects no garbage and knows no Deployments). RBAC is on; each user is a token. Ready in two to three seconds.
 */
import assert from 'node:assert/strict'
import { generateKeyPair, randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { group, plural, version } from '../../api/crd.ts'
import { findAssets } from './assets.ts'
import { copyBootstrapped, keepBootstrapped, takeBootstrapped } from './bootstrapped.ts'
import { createDaemon, type Daemon, StartFailed } from './daemon.ts'
import { kubeconfigOf, statusOf } from './kubeclient.ts'
import { freePort } from './port.ts'
import { type Completed, run } from './process.ts'
import { afterAllElse, type Scope } from './scope.ts'
import { eventually } from './wait.ts'

const assets = await findAssets(process.env)

/** Options of a test or suite that starts an API server: `test('…', needsApiServer, async (t) => …)`. It is skipped, saying why. */
export const needsApiServer: { skip: string | false } = { skip: assets.kind === 'Missing' ? assets.reason : false }

/** The same for one that starts controllers too. */
export const needsControllers: { skip: string | false } =
  assets.kind === 'Found' && !assets.controllers
    ? { skip: `${assets.folder} has no kube-controller-manager: use another KUBEBUILDER_ASSETS` }
    : needsApiServer

/** Controllers that operator tests need: owner references, rollouts, budgets, the default service account. */
const usualControllers = ['garbage-collector', 'namespace', 'deployment', 'replicaset', 'serviceaccount', 'disruption'].map(
  (name) => `${name}-controller`,
)

export interface ApiServerOptions {
  /** Start kube-controller-manager: true for the usual controllers, or their names, as `--controllers` takes them. */
  controllers?: boolean | readonly string[]
  /** More users and their groups, `{ operator: [], viewer: ['auditors'] }`. They have no rights until a binding gives some. */
  users?: Readonly<Record<string, readonly string[]>>
  /**
   * Files that kubectl applies before the controllers start (a garbage collector sees new kinds only every 30 s). New kinds are
   * served.
   */
  manifests?: readonly string[]
  /** Keep an audit log, which `requests()` reads. */
  audit?: boolean
  /** More of kube-apiserver's arguments. */
  args?: readonly string[]
}

export interface KubectlRequest {
  /** For `-f -`. */
  input?: string
  /** One of `users`; default: the administrator. */
  user?: string
  /** More variables. */
  env?: Readonly<Record<string, string>>
}

/** One finished request of the audit log. */
export interface AuditedRequest {
  readonly user: string
  readonly userAgent: string
  /** As RBAC has it: get, list, watch, create, update, patch, delete, deletecollection. */
  readonly verb: string
  readonly uri: string
  readonly resource: string
  readonly subresource: string
  readonly namespace: string
  readonly name: string
  readonly code: number
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
  requests(): Promise<AuditedRequest[]>
  /** Stops the server, and keeps its files for servers that the child processes of this process start. */
  keep(target: string): Promise<void>
  readonly etcd: Daemon
  readonly apiserver: Daemon
  /** Throws when they were not asked for. */
  readonly controllers: Daemon
}

export const startApiServer = async (scope: Scope, options: ApiServerOptions = {}): Promise<ApiServer> => {
  if (assets.kind === 'Missing') throw new Error(`${assets.reason} (mark the test with needsApiServer to have it skipped)`)
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-kube-'))
  const started: Daemon[] = []
  afterAllElse(scope, async () => {
    await Promise.all(started.map((daemon) => daemon.kill('SIGKILL')))
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  })

  const bootstrapped = takeBootstrapped(options.manifests)
  const tokens = new Map(['admin', ...Object.keys(options.users ?? {})].map((name) => [name, randomBytes(16).toString('hex')]))
  await writeFiles(folder, tokens, options, bootstrapped !== undefined)
  const data = (tries: number): string => join(folder, `etcd-${tries}`)
  const { port, etcd, apiserver, tries } = await startControlPlane(assets.folder, tokens.get('admin') ?? '', options, started, {
    folder,
    prepare: async (attempt) => {
      if (bootstrapped !== undefined) await copyBootstrapped(bootstrapped, folder, data(attempt))
      return data(attempt)
    },
  })
  const url = `https://127.0.0.1:${port}`
  const ca = await readFile(join(folder, 'tls', 'apiserver.crt'), 'utf8')
  const caData = Buffer.from(ca).toString('base64')
  const identity = { key: await readFile(join(folder, 'tls', 'apiserver.key'), 'utf8'), cert: ca }

  const user = async (name: string): Promise<{ token: string; kubeconfig: string }> => {
    const token = tokens.get(name)
    if (token === undefined) throw new Error(`no user ${name}: name it in startApiServer's users`)
    const kubeconfig = join(folder, `${name}.kubeconfig`)
    await writeFile(kubeconfig, kubeconfigOf(url, caData, name, token), { mode: 0o600 })
    return { token, kubeconfig }
  }
  const admin = await user('admin')
  const program = join(assets.folder, 'kubectl')
  const kubectl: ApiServer['kubectl'] = async (args, request = {}) => {
    const { input, user: name, env: more } = typeof request === 'string' ? { input: request } : request
    const { kubeconfig } = name === undefined ? admin : await user(name)
    // Its cache of what a server offers is by address, and addresses come back: each server has its own.
    const env = { KUBECONFIG: kubeconfig, KUBECACHEDIR: join(folder, 'kubectl'), ...more }
    return run(scope, args, { command: program, env, ...(input === undefined ? {} : { input }) })
  }
  for (const manifest of bootstrapped === undefined ? (options.manifests ?? []) : []) {
    const applied = await kubectl(['apply', '--server-side', '-f', manifest])
    if (applied.code !== 0) throw new Error(`kubectl apply -f ${manifest}: ${applied.stderr}`)
  }
  // An accepted definition is not served yet: a request that comes too soon gets "no such kind".
  if (bootstrapped !== undefined) {
    const served = `${url}/apis/${group}/${version}/${plural}`
    await eventually(async () => assert.ok(await isThere(served, ca, admin.token)), { timeoutMs: 30_000 })
  } else if (options.manifests !== undefined) {
    const { stdout } = await kubectl(['get', 'customresourcedefinitions', '-o', 'jsonpath={.items[*].metadata.name}'])
    for (const kind of stdout.split(' ').filter((name) => name !== '')) {
      await eventually(async () => assert.equal((await kubectl(['get', kind])).code, 0), { timeoutMs: 30_000 })
    }
  }

  const controllers = options.controllers
    ? controllerManager(assets.folder, folder, admin.kubeconfig, options.controllers, () =>
        isThere(`${url}/api/v1/namespaces/default/serviceaccounts/default`, ca, admin.token),
      )
    : undefined
  if (controllers) {
    started.push(controllers)
    await controllers.start()
  }
  return {
    url,
    port,
    caData,
    identity,
    token: admin.token,
    kubeconfig: admin.kubeconfig,
    user,
    kubectl,
    requests: async () => parseAudit(await readFile(join(folder, 'audit.log'), 'utf8')),
    etcd,
    apiserver,
    async keep(target) {
      await apiserver.stop()
      await etcd.stop()
      await keepBootstrapped(folder, data(tries), target)
    },
    get controllers() {
      if (!controllers) throw new Error('startApiServer was not asked for controllers')
      return controllers
    },
  }
}

/** These processes live for seconds: without collections of garbage a start takes two thirds of the processor time. */
const seldomCollected = { GOGC: 'off', GOMEMLIMIT: '600MiB' }

const isThere = async (url: string, ca: string, token: string): Promise<boolean> => (await statusOf(url, ca, token)) === 200

const writeFiles = async (
  folder: string,
  tokens: ReadonlyMap<string, string>,
  options: ApiServerOptions,
  bootstrapped: boolean,
): Promise<void> => {
  if (!bootstrapped) {
    const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 })
    await writeFile(join(folder, 'serviceaccounts.key'), privateKey.export({ type: 'pkcs1', format: 'pem' }), { mode: 0o600 })
  }
  const users: Readonly<Record<string, readonly string[]>> = { ...options.users, admin: ['system:masters'] }
  const rows = [...tokens].map(([name, token]) => {
    const groups = users[name] ?? []
    return `${token},${name},${name}${groups.length > 0 ? `,"${groups.join(',')}"` : ''}\n`
  })
  await writeFile(join(folder, 'tokens.csv'), rows.join(''), { mode: 0o600 })
  const policy = { apiVersion: 'audit.k8s.io/v1', kind: 'Policy', omitStages: ['RequestReceived', 'ResponseStarted'] }
  await writeFile(join(folder, 'audit.yaml'), JSON.stringify({ ...policy, rules: [{ level: 'Metadata' }] }))
}

interface Place {
  readonly folder: string
  /** Makes the folder of etcd's data for the try of that number, and returns its path. */
  prepare(tries: number): Promise<string>
}

/** Both at once: kube-apiserver waits for etcd by itself. Ports can be taken between the look and the start, hence the tries. */
const startControlPlane = async (bin: string, token: string, options: ApiServerOptions, started: Daemon[], place: Place) => {
  for (let tries = 1; ; tries += 1) {
    const [port, etcdPort] = [await freePort(), await freePort()]
    const etcd = etcdDaemon(bin, await place.prepare(tries), etcdPort)
    const apiserver = apiServerDaemon(bin, place.folder, port, etcdPort, token, options)
    started.push(etcd, apiserver)
    const outcomes = await Promise.allSettled([etcd.start(), apiserver.start()])
    const failure = outcomes.find((outcome) => outcome.status === 'rejected')
    if (!failure) return { port, etcd, apiserver, tries }
    await Promise.all([etcd.kill('SIGKILL'), apiserver.kill('SIGKILL')])
    const taken = failure.reason instanceof StartFailed && failure.reason.message.includes('address already in use')
    if (!taken || tries === 5) throw failure.reason
  }
}

const etcdDaemon = (bin: string, data: string, port: number): Daemon =>
  createDaemon({
    name: 'etcd',
    env: seldomCollected,
    command: join(bin, 'etcd'),
    args: [
      `--data-dir=${data}`,
      '--unsafe-no-fsync',
      '--log-level=warn',
      `--listen-client-urls=http://127.0.0.1:${port}`,
      `--advertise-client-urls=http://127.0.0.1:${port}`,
      // A single member has no peers, but must be told where it would listen for them.
      '--listen-peer-urls=http://127.0.0.1:0',
    ],
    ready: async () => (await fetch(`http://127.0.0.1:${port}/health`, { headers: { connection: 'close' } })).ok,
    timeoutMs: 60_000,
  })

const apiServerDaemon = (
  bin: string,
  folder: string,
  port: number,
  etcdPort: number,
  token: string,
  options: ApiServerOptions,
): Daemon => {
  const ready = async (): Promise<boolean> => {
    // It makes its own certificate at the first start; the file holds the one that signed it too.
    const ca = await readFile(join(folder, 'tls', 'apiserver.crt'), 'utf8')
    const server = `https://127.0.0.1:${port}`
    return (await isThere(`${server}/readyz`, ca, token)) && isThere(`${server}/api/v1/namespaces/default`, ca, token)
  }
  const audit = [`--audit-policy-file=${join(folder, 'audit.yaml')}`, `--audit-log-path=${join(folder, 'audit.log')}`]
  return createDaemon({
    name: 'kube-apiserver',
    env: seldomCollected,
    command: join(bin, 'kube-apiserver'),
    args: [
      `--etcd-servers=http://127.0.0.1:${etcdPort}`,
      '--bind-address=127.0.0.1',
      `--secure-port=${port}`,
      `--cert-dir=${join(folder, 'tls')}`,
      '--endpoint-reconciler-type=none',
      '--service-cluster-ip-range=10.0.0.0/24',
      '--allow-privileged',
      '--authorization-mode=RBAC',
      `--token-auth-file=${join(folder, 'tokens.csv')}`,
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-key-file=${join(folder, 'serviceaccounts.key')}`,
      `--service-account-signing-key-file=${join(folder, 'serviceaccounts.key')}`,
      // Pods need a service account, which only a controller makes.
      ...(options.controllers ? [] : ['--disable-admission-plugins=ServiceAccount']),
      ...(options.audit ? audit : []),
      ...(options.args ?? []),
    ],
    ready,
    timeoutMs: 60_000,
  })
}

const controllerManager = (
  bin: string,
  folder: string,
  kubeconfig: string,
  names: true | readonly string[],
  ready: () => Promise<boolean>,
): Daemon =>
  createDaemon({
    name: 'kube-controller-manager',
    env: seldomCollected,
    command: join(bin, 'kube-controller-manager'),
    args: [
      `--kubeconfig=${kubeconfig}`,
      `--controllers=${[...new Set(['serviceaccount-controller', ...(names === true ? usualControllers : names)])].join(',')}`,
      '--leader-elect=false',
      '--secure-port=0',
      `--service-account-private-key-file=${join(folder, 'serviceaccounts.key')}`,
      `--root-ca-file=${join(folder, 'tls', 'apiserver.crt')}`,
      '--kube-api-qps=200',
      '--kube-api-burst=400',
    ],
    ready,
    timeoutMs: 60_000,
  })

interface AuditEvent {
  user: { username: string }
  userAgent?: string
  verb: string
  requestURI: string
  objectRef?: { resource?: string; subresource?: string; namespace?: string; name?: string }
  responseStatus?: { code?: number }
}

/** Its last line may still be on its way into the file. */
const parseAudit = (log: string): AuditedRequest[] =>
  log
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as AuditEvent)
    .map(({ user, userAgent = '', verb, requestURI, objectRef = {}, responseStatus = {} }) => ({
      user: user.username,
      userAgent,
      verb,
      uri: requestURI,
      resource: objectRef.resource ?? '',
      subresource: objectRef.subresource ?? '',
      namespace: objectRef.namespace ?? '',
      name: objectRef.name ?? '',
      code: responseStatus.code ?? 0,
    }))
