/** What operator tests share: an API server with the CRD and controllers, a user with the operator's rights, objects to look at. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { group, plural } from '../../api/crd.ts'
import { loadPipelines } from '../../api/load.ts'
import { loadCredentials } from '../../operator/kubernetes/credentials.ts'
import { isFailure } from '../../operator/kubernetes/errors.ts'
import { type KubernetesObject, type ResourceType, resourcePath } from '../../operator/kubernetes/objects.ts'
import { createTransport, type Transport } from '../../operator/kubernetes/transport.ts'
import type { OperatorOptions } from '../../operator/options.ts'
import { policyRule, rbacRules } from '../../operator/rights.ts'
import { runOperator } from '../../operator/run.ts'
import { borrowApiServer, type OwnApiServer, ordinary, startApiServer } from '../support/apiserver.ts'
import { applyObjects } from '../support/applying.ts'
import { projectRoot } from '../support/root.ts'
import type { Scope } from '../support/scope.ts'
import type { ApiServer } from '../support/serveraccess.ts'
import { eventually } from '../support/wait.ts'

export const consumerImage = 'registry.example/streampipeline/consumer:test'

/** Exactly the rights of the operator in a namespace that it runs in and serves. */
export const rules = rbacRules.filter(({ flag }) => flag !== 'pod-monitor').map(policyRule)

export interface Cluster {
  readonly server: ApiServer
  /** Those in which the user `operator` has its rights; none: in all. */
  readonly namespaces: readonly string[]
  /** As the administrator. */
  readonly transport: Transport
  /** As `kubectl apply --server-side` would. An object, a List, or YAML. */
  apply(source: unknown): Promise<void>
  get<T extends KubernetesObject = Loose>(type: ResourceType, namespace: string, name: string): Promise<T | undefined>
  list(type: ResourceType, namespace: string): Promise<Loose[]>
  patch(type: ResourceType, namespace: string, name: string, patch: unknown, subresource?: string): Promise<void>
  remove(type: ResourceType, namespace: string, name: string): Promise<void>
  /** Waits until that user may, or may not: roles that were applied are heeded a little later. */
  permits(user: string, right: RequestedRight, allowed?: boolean): Promise<void>
}

/** One whose server its test started. */
export interface OwnCluster extends Cluster {
  readonly server: OwnApiServer
}

/** As RBAC names it; no namespace: in all. */
export interface RequestedRight {
  readonly verb: string
  readonly group: string
  readonly resource: string
  readonly subresource?: string
  readonly namespace?: string
}

/** An object of whatever kind, read with `at`. */
export type Loose = KubernetesObject & Readonly<Record<string, unknown>>

/** The value at a path of names and indexes: `at(deployment, 'spec.template.spec.containers.0.image')`. */
export function at(object: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((value, part) => (value as Record<string, unknown> | undefined)?.[part], object)
}

interface ClusterOptions {
  /**
   * Where the user `operator` has its rights, by Roles alone, and which `startOperator` serves; made where they do not exist.
   * None: in all of them, by a ClusterRole. Default: `default`.
   */
  readonly namespaces?: readonly string[]
}

interface OwnClusterOptions extends ClusterOptions {
  readonly controllers?: boolean | readonly string[]
  /** More of kube-apiserver's arguments. */
  readonly args?: readonly string[]
}

const rbac = 'rbac.authorization.k8s.io'
/** What an operator asks first. */
export const readingPipelines = { verb: 'list', group, resource: plural }

function grants(namespaces: readonly string[]): unknown[] {
  const subjects = [{ kind: 'User', name: 'operator', apiGroup: rbac }]
  const bound = (scope: '' | 'Cluster', metadata: object) => [
    { apiVersion: `${rbac}/v1`, kind: `${scope}Role`, metadata, rules },
    {
      apiVersion: `${rbac}/v1`,
      kind: `${scope}RoleBinding`,
      metadata,
      subjects,
      roleRef: { kind: `${scope}Role`, name: 'operator', apiGroup: rbac },
    },
  ]
  if (namespaces.length === 0) return bound('Cluster', { name: 'operator' })
  const others = namespaces.filter((name) => name !== 'default')
  const made = others.map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }))
  return [...made, ...namespaces.flatMap((namespace) => bound('', { name: 'operator', namespace }))]
}

/** A cluster on a borrowed API server, for tests that make objects and run operators. The next borrower sees none of these objects. */
export async function borrowCluster(scope: Scope, { namespaces = ['default'] }: ClusterOptions = {}): Promise<Cluster> {
  return await prepared(scope, await borrowApiServer(scope), namespaces)
}

/** A cluster on a server of its own, for tests that need controllers or arguments, or that end or pause the server. */
export async function startCluster(scope: Scope, options: OwnClusterOptions = {}): Promise<OwnCluster> {
  const { controllers = false, args = [], namespaces = ['default'] } = options
  const server = await startApiServer(scope, { ...ordinary, controllers, args })
  return { ...(await prepared(scope, server, namespaces)), server }
}

async function prepared(scope: Scope, server: ApiServer, namespaces: readonly string[]): Promise<Cluster> {
  const transport = createTransport(loadCredentials(server.kubeconfig))
  scope.after(() => transport.close())
  const cluster: Cluster = {
    server,
    namespaces,
    transport,
    apply: (source) => applyObjects(transport, source),
    async get<T extends KubernetesObject>(type: ResourceType, namespace: string, name: string) {
      try {
        return (await transport.request({ method: 'GET', path: resourcePath(type, namespace, name) })) as T
      } catch (thrown) {
        if (isFailure(thrown, 'KubernetesNotFound')) return undefined
        throw thrown
      }
    },
    async list(type, namespace) {
      const { items } = (await transport.request({ method: 'GET', path: resourcePath(type, namespace) })) as { items: Loose[] }
      return items
    },
    async patch(type, namespace, name, patch, subresource) {
      const path = resourcePath(type, namespace, name, subresource)
      await transport.request({ method: 'PATCH', path, body: patch, contentType: 'application/merge-patch+json' })
    },
    async remove(type, namespace, name) {
      await transport.request({ method: 'DELETE', path: resourcePath(type, namespace, name) })
    },
    async permits(user, right, allowed = true) {
      const type = { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', plural: 'subjectaccessreviews' }
      const { apiVersion, kind } = type
      const body = { apiVersion, kind, metadata: {}, spec: { user, resourceAttributes: right } }
      await eventually(
        async () => {
          const review = await transport.request({ method: 'POST', path: resourcePath(type, undefined), body })
          assert.equal(at(review, 'status.allowed'), allowed, `${user}: ${JSON.stringify(right)}`)
        },
        { timeoutMs: 30_000 },
      )
    },
  }
  await cluster.apply({ apiVersion: 'v1', kind: 'List', items: grants(namespaces) })
  if (namespaces.length === 0) await cluster.permits('operator', readingPipelines)
  for (const namespace of namespaces) await cluster.permits('operator', { ...readingPipelines, namespace })
  return cluster
}

export interface RunningOperator {
  readonly lines: string[]
  readonly ports: Promise<{ readonly metrics: number; readonly health: number }>
  readonly exit: Promise<number>
  stop(): Promise<number>
}

/**
 * `npm test` bundles the programs behind the operator's wall once (test/run.ts), with the command line. Each operator starts two of
 * them. As bundles they need a third of the processor time.
 */
const commandLine = process.env['STREAMPIPELINE_COMMAND_LINE']
const bundledPrograms = commandLine === undefined ? {} : { programs: dirname(commandLine) }

/** Starts an operator in this process, as the user `operator`, in the namespaces where that user has rights. It looks at Redis often. */
export async function startOperator(
  scope: Scope,
  cluster: Cluster,
  more: Partial<OperatorOptions> = {},
): Promise<RunningOperator> {
  const { kubeconfig } = await cluster.server.user('operator')
  const stop = new AbortController()
  const lines: string[] = []
  const listening = Promise.withResolvers<{ metrics: number; health: number }>()
  const exit = runOperator({
    consumerImage,
    metrics: '127.0.0.1:0',
    health: '127.0.0.1:0',
    kubeconfig,
    namespaces: cluster.namespaces.join(','),
    podNamespace: 'default',
    observeEveryMs: 400,
    referencesEveryMs: 1_000,
    numbersEveryMs: 1_000,
    retryEveryMs: 1_000,
    env: {},
    ...bundledPrograms,
    signal: stop.signal,
    log: { write: (line) => void lines.push(line) },
    onListening: (ports) => listening.resolve(ports),
    ...more,
  })
  const stopped = async () => {
    stop.abort()
    return await exit
  }
  scope.after(async () => void (await stopped()))
  return { lines, ports: listening.promise, exit, stop: stopped }
}

/** The quickstart of the examples under another name, with these parts of its spec replaced. */
export async function quickstart(name: string, namespace: string, spec: Record<string, unknown>): Promise<Loose> {
  const file = join(projectRoot, 'examples', 'quickstart.yaml')
  const [loaded] = loadPipelines(await readFile(file, 'utf8'), file)
  const resource = loaded?.document as Loose
  return { ...resource, metadata: { name, namespace }, spec: { ...(resource['spec'] as object), ...spec } }
}

export function minimalPipeline(name: string, namespace: string, spec: Record<string, unknown>): Loose {
  return {
    apiVersion: 'streampipeline.dev/v1alpha1',
    kind: 'StreamPipeline',
    metadata: { name, namespace },
    spec: { source: { stream: `${name}:jobs`, group: name }, sink: { bullmq: { queue: name } }, ...spec },
  }
}

export function conditionOf(
  object: Loose | undefined,
  type: string,
): { status: string; reason: string; message: string } | undefined {
  const conditions = at(object, 'status.conditions') as
    | { type: string; status: string; reason: string; message: string }[]
    | undefined
  return conditions?.find((condition) => condition.type === type)
}
