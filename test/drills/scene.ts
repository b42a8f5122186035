/** What drills share: a cluster, an operator, pipelines with consumers, servers of Redis, and a Prometheus with the chart's rules. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Redis } from 'ioredis'
import { parse } from 'yaml'
import { pipelineType } from '../../operator/plan/kinds.ts'
import { at, type Cluster, conditionOf, type Loose, minimalPipeline, startCluster } from '../operator/cluster.ts'
import { chartFolder, helm } from '../scenarios/chart/chart.ts'
import { freePort } from '../support/port.ts'
import { startCli } from '../support/process.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import type { Scope } from '../support/scope.ts'
import { eventually } from '../support/wait.ts'
import { type Pods, startPods } from './pods.ts'
import { type RunningPrometheus, startPrometheus } from './prometheus.ts'

/** The chart's windows and thresholds, shortened. */
const shortened = {
  windows: {
    ...{ burnFastLong: '90s', burnFastShort: '30s', burnSlowLong: '2m', burnSlowShort: '45s', recent: '45s', growth: '45s' },
    ...{ soon: '5s', short: '5s', medium: '5s', long: '5s', longest: '5s', atMaximum: '5s' },
  },
  thresholds: { silentSeconds: 15, refusals: 0.5, writesPerSecond: 0.05, queueDepth: 3, oldestAgeFactor: 3 },
}

/** Names of pipelines, each with its part in the drills. */
export const names = {
  /** At work; gets the entries that make alerts fire. */
  main: 'main',
  /** Its entries arrive late. Nobody else adds to it, or older ids would be refused. */
  late: 'late',
  /** Its own Redis, which is taken away. */
  away: 'away',
  /** Gets more than it can bear. */
  busy: 'busy',
  /** Its pods are held back. */
  held: 'held',
  /** Loses entries. */
  lossy: 'lossy',
  /** Somebody changes its Deployment. */
  contended: 'contended',
  /** Somebody misspells its spec. */
  misspelt: 'misspelt',
} as const

export interface Scene {
  readonly cluster: Cluster
  readonly pods: Pods
  readonly prometheus: RunningPrometheus
  readonly redis: Redis
  /** That of the pipeline `away`. */
  readonly away: RedisServer
  apply(name: string, spec?: Readonly<Record<string, unknown>>): Promise<void>
  patch(name: string, patch: object): Promise<void>
  /** Until the pipeline's Ready is True. */
  ready(name: string): Promise<void>
  stopOperator(): Promise<void>
  startOperator(): Promise<void>
}

async function chartRules(scope: Scope): Promise<object> {
  const sets = Object.entries(shortened).flatMap(([group, settings]) =>
    Object.entries(settings).flatMap(([name, value]) => ['--set-json', `alerts.${group}.${name}=${JSON.stringify(value)}`]),
  )
  const args = ['template', 'drills', chartFolder, '--set', 'alerts.enabled=true', ...sets, '-s', 'templates/prometheusrule.yaml']
  // helm runs as in tests; a scope is all it needs.
  const { code, stdout, stderr } = await helm(scope as never, ...args)
  if (code !== 0) throw new Error(stderr)
  return (parse(stdout) as { spec: object }).spec
}

export async function startScene(scope: Scope): Promise<Scope & Scene> {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-drillpods-'))
  scope.after(async () => await rm(folder, { recursive: true, force: true }))
  const [cluster, server, away, rules, operatorPort] = await Promise.all([
    startCluster(scope, { controllers: true }),
    startRedis(scope),
    startRedis(scope),
    chartRules(scope),
    freePort(),
  ])
  const prometheus = await startPrometheus(scope, rules)
  const operatorTarget = { port: operatorPort, labels: { job: 'operator', namespace: 'default', pod: 'operator-0' } }
  const retarget = async () => await prometheus.scrape([operatorTarget, ...pods.targets()])
  const pods = startPods(scope, cluster, folder, retarget)
  await retarget()
  const { kubeconfig } = await cluster.server.user('operator')
  const begin = async () => {
    const options = { 'consumer-image': 'consumer:drill', namespaces: 'default', metrics: `127.0.0.1:${operatorPort}` }
    const flags = Object.entries({ ...options, health: '127.0.0.1:0', kubeconfig }).map(([name, value]) => `--${name}=${value}`)
    const process = await startCli(scope, ['operator', ...flags], { env: { POD_NAMESPACE: 'default' } })
    await process.output(/"leading"/, { timeoutMs: 120_000 })
    return process
  }
  let operator = await begin()
  const spec = (name: string, more: Readonly<Record<string, unknown>>) =>
    minimalPipeline(name, 'default', {
      redis: { url: name === names.away ? away.url : server.url },
      payload: { schema: { type: 'object', required: ['id'], properties: { id: { type: 'string' } } }, idempotencyKey: ['id'] },
      ...more,
    })
  return {
    after: scope.after.bind(scope),
    cluster,
    pods,
    prometheus,
    redis: server.client(),
    away,
    apply: async (name, more = {}) => await cluster.apply(spec(name, more)),
    patch: async (name, patch) => await cluster.patch(pipelineType, 'default', name, patch),
    async ready(name) {
      const isReady = async () => {
        const object = await cluster.get<Loose>(pipelineType, 'default', name)
        const condition = conditionOf(object, 'Ready')
        if (condition?.status !== 'True')
          throw new Error(`${name}: ${condition?.message} ${JSON.stringify(at(object, 'status.consumers'))}`)
      }
      await eventually(isReady, { timeoutMs: 180_000, intervalMs: 500 })
    },
    async stopOperator() {
      await operator.stop('SIGTERM', 30_000)
    },
    async startOperator() {
      operator = await begin()
    },
  }
}
