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
import { copyBootstrapped, keepBootstrapped, projectCrd, returnNumber, takeBootstrapped } from './bootstrapped.ts'
import { createDaemon, type Daemon, StartFailed } from './daemon.ts'
import { statusOf } from './kubeclient.ts'
import { freePort } from './port.ts'
import { afterAllElse, type Scope } from './scope.ts'
import { type ApiServer, accessTo, type ServerPlace } from './serveraccess.ts'
import { borrowServer } from './serverpool.ts'
import { eventually } from './wait.ts'

const assets = await findAssets(process.env)

/** Options of a test or suite that starts an API server: `test('…', needsApiServer, async (t) => …)`. It is skipped, saying why. */
export const needsApiServer: { skip: string | false } = { skip: assets.kind === 'Missing' ? assets.reason : false }

/** The same for one that starts controllers too. */
export const needsControllers: { skip: string | false } =
  assets.kind === 'Found' && !assets.controllers
    ? { skip: `${assets.folder} has no kube-controller-manager: use another KUBEBUILDER_ASSETS` }
    : needsApiServer

const programs = (): string => {
  if (assets.kind === 'Found') return assets.folder
  throw new Error(`${assets.reason} (mark the test with needsApiServer to have it skipped)`)
}

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

/** One that its test started, and may pause, end and restart. */
export interface OwnApiServer extends ApiServer {
  readonly place: ServerPlace
  /** Stops its etcd, and keeps its files for servers that the child processes of this process start. */
  keep(target: string): Promise<void>
  readonly etcd: Daemon
  readonly apiserver: Daemon
  /** Throws when they were not asked for. */
  readonly controllers: Daemon
}

/** What most tests need. */
export const ordinary = {
  manifests: [projectCrd],
  audit: true,
  users: { operator: [], scoped: [], reader: [], writer: [] },
} satisfies ApiServerOptions

/**
 * A server with the project's kind, an audit log, and the users `operator`, `scoped`, `reader` and `writer`. It is one that `npm test`
 * keeps running, if one is free: no object of an earlier test shows. Else it is started.
 */
export const borrowApiServer = async (scope: Scope): Promise<ApiServer> =>
  (await borrowServer(scope, join(programs(), 'kubectl'))) ?? startApiServer(scope, ordinary)

/** For a test that needs other options than `borrowApiServer` has, that ends or pauses its server, or that works on the kind itself. */
export const startApiServer = async (scope: Scope, options: ApiServerOptions = {}): Promise<OwnApiServer> => {
  const bin = programs()
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-kube-'))
  const started: Daemon[] = []
  const bootstrapped = takeBootstrapped(options.manifests)
  afterAllElse(scope, async () => {
    await Promise.all(started.map((daemon) => daemon.kill('SIGKILL')))
    if (bootstrapped !== undefined) returnNumber(bootstrapped.number)
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  })

  const tokens = new Map(['admin', ...Object.keys(options.users ?? {})].map((name) => [name, randomBytes(16).toString('hex')]))
  await writeFiles(folder, tokens, options, bootstrapped !== undefined)
  const data = (tries: number): string => join(folder, `etcd-${tries}`)
  const { port, etcdPort, etcd, apiserver, tries } = await startControlPlane(bin, tokens.get('admin') ?? '', options, started, {
    folder,
    prepare: async (attempt) => {
      if (bootstrapped !== undefined) await copyBootstrapped(bootstrapped.folder, folder, data(attempt))
      return data(attempt)
    },
  })
  const place: ServerPlace = { port, etcdPort, folder, tokens: Object.fromEntries(tokens) }
  const access = await accessTo(scope, { place, kubectl: join(bin, 'kubectl'), folder })
  const { url, kubectl } = access
  const there = (path: string): Promise<boolean> => isThere(`${url}${path}`, access.identity.cert, access.token)
  for (const manifest of bootstrapped === undefined ? (options.manifests ?? []) : []) {
    const applied = await kubectl(['apply', '--server-side', '-f', manifest])
    if (applied.code !== 0) throw new Error(`kubectl apply -f ${manifest}: ${applied.stderr}`)
  }
  // An accepted definition is not served yet: a request that comes too soon gets "no such kind".
  if (bootstrapped !== undefined) {
    await eventually(async () => assert.ok(await there(`/apis/${group}/${version}/${plural}`)), { timeoutMs: 30_000 })
  } else if (options.manifests !== undefined) {
    const { stdout } = await kubectl(['get', 'customresourcedefinitions', '-o', 'jsonpath={.items[*].metadata.name}'])
    for (const kind of stdout.split(' ').filter((name) => name !== '')) {
      await eventually(async () => assert.equal((await kubectl(['get', kind])).code, 0), { timeoutMs: 30_000 })
    }
  }

  const controllers = options.controllers
    ? controllerManager(bin, folder, access.kubeconfig, options.controllers, () =>
        there('/api/v1/namespaces/default/serviceaccounts/default'),
      )
    : undefined
  if (controllers) {
    started.push(controllers)
    await controllers.start()
  }
  return {
    ...access,
    place,
    etcd,
    apiserver,
    async keep(target) {
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
    if (!failure) return { port, etcdPort, etcd, apiserver, tries }
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
  const audit = [
    `--audit-policy-file=${join(folder, 'audit.yaml')}`,
    `--audit-log-path=${join(folder, 'audit.log')}`,
    // MB. Readers know places in the file, which must not begin anew.
    '--audit-log-maxsize=100000',
  ]
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
