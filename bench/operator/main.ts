/**
 * `npm run bench -- operator`: the operator's bundle under its image's V8 flags, on a real API server (no kubelet: the bench marks
 * Deployments available) and a real Redis.
 *
 *   npm run bench -- operator --pipelines 1000     the figures of docs/operator.md
 *   npm run bench -- operator --quick              100 pipelines, short rest
 *   npm run --silent bench -- operator -o json     for programs: {"operator": {…}}
 *   --of FOLDER                                    the operator and the CRD of another commit: a checkout with its packages
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { loadCredentials } from '../../operator/kubernetes/credentials.ts'
import { type KubernetesObject, resourcePath } from '../../operator/kubernetes/objects.ts'
import { createTransport } from '../../operator/kubernetes/transport.ts'
import { startApiServer } from '../../test/support/apiserver.ts'
import type { AuditedRequest } from '../../test/support/auditlog.ts'
import { startRedis } from '../../test/support/redis.ts'
import { projectRoot } from '../../test/support/root.ts'
import { eventually } from '../../test/support/wait.ts'
import { createScope } from '../support/scope.ts'
import { percentile } from '../support/statistics.ts'
import { startFleet } from './fleet.ts'
import { type OperatorProcess, operatorProgram, residentMiB } from './program.ts'

const { values: options } = parseArgs({
  options: {
    pipelines: { type: 'string', default: '1000' },
    changes: { type: 'string', default: '200' },
    rest: { type: 'string', default: '60' },
    quick: { type: 'boolean', default: false },
    of: { type: 'string', default: projectRoot },
    output: { type: 'string', short: 'o', default: 'table' },
  },
})
const checkout = resolve(options.of)
const count = options.quick ? 100 : Number(options.pipelines)
const changes = options.quick ? 50 : Number(options.changes)
const restSeconds = options.quick ? 15 : Number(options.rest)
const progress = (line: string) => console.error(`${new Date().toISOString().slice(11, 19)} ${line}`)
const rounded = (value: number, digits = 1) => Math.round(value * 10 ** digits) / 10 ** digits
const seconds = (ms: number) => rounded(ms / 1000, 2)
const long = { timeoutMs: 300_000, intervalMs: 20 }

const scope = createScope()
try {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-bench-'))
  scope.after(() => rm(folder, { recursive: true, force: true }))
  const [server, redis] = await Promise.all([
    startApiServer(scope, {
      users: { operator: ['system:masters'] },
      manifests: [join(checkout, 'crds', 'streampipelines.yaml')],
      audit: true,
    }),
    startRedis(scope),
  ])
  const transport = createTransport(loadCredentials(server.kubeconfig))
  scope.after(() => transport.close())
  const { kubeconfig } = await server.user('operator')
  const program = await operatorProgram(scope, folder, kubeconfig, checkout)

  const leading = (operator: OperatorProcess, from = 0) =>
    eventually(() => operator.stdout().slice(from).includes('"leading"'), long)
  const isWrite = ({ user, verb, resource }: AuditedRequest) =>
    user === 'operator' && !['get', 'list', 'watch'].includes(verb) && resource !== 'leases'
  const writes = async (since = 0) => (await server.requests()).slice(since).filter(isWrite)
  const audited = async () => (await server.requests()).length
  /** Resolves once nothing was written for a while. */
  const atRest = async () => {
    let before = (await writes()).length
    for (let quietMs = 0; quietMs < 12_000; ) {
      await sleep(3_000)
      const now = (await writes()).length
      quietMs = now === before ? quietMs + 3_000 : 0
      before = now
    }
  }
  const highestResident = async (pid: number, forMs: number) => {
    let highest = 0
    for (const untilMs = performance.now() + forMs; performance.now() < untilMs; await sleep(250))
      highest = Math.max(highest, await residentMiB(pid))
    return highest
  }

  progress('operator without pipelines')
  let operator = await program.start('first')
  await leading(operator)
  await sleep(3_000)
  const rssIdleMiB = await highestResident(operator.pid, 5_000)

  const fleet = await startFleet(scope, transport, count, redis.url)
  progress(`${count} pipelines from nothing`)
  const createdMs = performance.now()
  await fleet.create()
  await eventually(() => fleet.ready() === count, long)
  const createSeconds = seconds(performance.now() - createdMs)
  await atRest()
  const rssCreatedMiB = await residentMiB(operator.pid)
  await operator.stop()

  progress('started over existing pipelines')
  await fleet.forget()
  await eventually(() => fleet.ready() === 0, long)
  operator = await program.start('second')
  await eventually(() => fleet.ready() === count, long)
  const readySeconds = seconds(performance.now() - operator.startedMs)
  await atRest()

  progress(`at rest for ${restSeconds} s`)
  const restFrom = await audited()
  const rssMiB = await highestResident(operator.pid, restSeconds * 1000)
  const resting = await writes(restFrom)

  progress(`${changes} changes of specs`)
  const changesFrom = await audited()
  const took: number[] = []
  for (let n = 0; n < changes; n++) {
    const name = fleet.names[Math.floor((n * count) / changes) % count] ?? ''
    const rolled = fleet.rolled(name)
    const startMs = performance.now()
    await fleet.patch(name, { source: { batchSize: 200 + n } })
    took.push((await rolled) - startMs)
  }
  await atRest()
  const changed = await writes(changesFrom)
  const of = (resource: string, subresource: string) =>
    changed.filter((each) => each.resource === resource && each.subresource === subresource).length / changes
  const rssChangedMiB = await residentMiB(operator.pid)

  progress('crash of the leader')
  const name = fleet.names[0] ?? ''
  const failover = async (standby: OperatorProcess, end: () => Promise<unknown>, batchSize: number) => {
    const endedMs = performance.now()
    const ended = end()
    await leading(standby)
    const rolled = fleet.rolled(name)
    await fleet.patch(name, { source: { batchSize } })
    await rolled
    const tookMs = performance.now() - endedMs
    await ended
    return seconds(tookMs)
  }
  const standby = await program.start('third')
  await eventually(() => standby.stdout().includes('operator started'), long)
  await sleep(3_000)
  const failoverCrashSeconds = await failover(standby, () => operator.stop('SIGKILL'), 7)
  progress('clean stop of the leader')
  const next = await program.start('fourth')
  await eventually(() => next.stdout().includes('operator started'), long)
  await sleep(3_000)
  const failoverCleanSeconds = await failover(next, () => standby.stop('SIGTERM'), 8)
  const lease = (await transport.request({
    method: 'GET',
    path: resourcePath(
      { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', plural: 'leases' },
      'default',
      'streampipeline-operator',
    ),
  })) as KubernetesObject & { spec: { holderIdentity: string } }
  if (!lease.spec.holderIdentity.startsWith('fourth_')) throw new Error(`${lease.spec.holderIdentity} leads`)
  await next.stop()

  const result = {
    operator: {
      pipelines: count,
      readySeconds,
      createSeconds,
      writesAtRest: resting.length,
      restSeconds,
      writesPerSpecChange: {
        deployments: rounded(of('deployments', ''), 2),
        status: rounded(of('streampipelines', 'status'), 2),
        other: rounded(changed.length / changes - of('deployments', '') - of('streampipelines', 'status'), 2),
      },
      applyP50Ms: rounded(percentile(took, 0.5)),
      applyP99Ms: rounded(percentile(took, 0.99)),
      rssIdleMiB: rounded(rssIdleMiB),
      rssMiB: rounded(Math.max(rssMiB, rssCreatedMiB, rssChangedMiB)),
      failoverCrashSeconds,
      failoverCleanSeconds,
      node: process.version,
    },
  }
  if (options.output === 'json') console.log(JSON.stringify(result, undefined, 2))
  else for (const [field, value] of Object.entries(result.operator)) console.log(field.padEnd(24), shown(value))
  if (resting.length > 0) {
    const kinds = new Set(resting.map(({ verb, resource, subresource }) => `${verb} ${resource}/${subresource}`))
    progress(`written at rest: ${[...kinds].join(', ')}`)
  }
} finally {
  await scope.close()
}

function shown(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value)
  return Object.entries(value)
    .map(([field, inner]) => `${field} ${String(inner)}`)
    .join(', ')
}
