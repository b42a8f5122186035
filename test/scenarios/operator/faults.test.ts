/**
 * `kubectl describe` shows every fault, in a condition and in an Event: the failure, its object, and the remedy. The report ends
 * when the fault is mended. All faults come at once, each in a pipeline of its own, on a real API server with the controllers of
 * Deployments, and real Redis servers.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as kinds from '../../../operator/plan/kinds.ts'
import { nameLabel } from '../../../operator/plan/names.ts'
import { keySpace } from '../../../redis/keys.ts'
import { at, conditionOf, type Loose, minimalPipeline, startCluster, startOperator } from '../../operator/cluster.ts'
import type { Fault, Site } from '../../operator/faults/fault.ts'
import { objectFaults } from '../../operator/faults/objects.ts'
import { podFaults } from '../../operator/faults/pods.ts'
import { redisFaults } from '../../operator/faults/redis.ts'
import { specFaults } from '../../operator/faults/specs.ts'
import { needsControllers } from '../../support/apiserver.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

const eventType = { apiVersion: 'events.k8s.io/v1', kind: 'Event', plural: 'events' }
const patient = { timeoutMs: 120_000, intervalMs: 500 }

test('every fault is reported with cause, object and remedy, and taken back when mended', needsControllers, async (t) => {
  const faults = [...specFaults, ...objectFaults, ...podFaults, ...(await redisFaults(t))]
  const nameOf = (index: number) => `f-${index}`
  const alone = faults.flatMap((fault, index) => (fault.alone ? [nameOf(index)] : []))
  const [cluster, redis] = await Promise.all([
    startCluster(t, { controllers: true, namespaces: ['default', ...alone] }),
    startRedis(t),
  ])
  const client = redis.client()
  assert.ok(faults.length >= 40, `${faults.length} faults`)
  t.diagnostic(`${faults.length} faults`)

  const sites = faults.map((fault, index): { fault: Fault; site: Site } => {
    const name = nameOf(index)
    const namespace = fault.alone ? name : 'default'
    const site: Site = {
      cluster,
      name,
      namespace,
      redis,
      client,
      keys: keySpace(`${name}:jobs`, name),
      patch: (spec) => cluster.patch(kinds.pipelineType, namespace, name, { spec }),
      object: (apiVersion, kind, objectName, more) => ({ apiVersion, kind, metadata: { name: objectName, namespace }, ...more }),
    }
    return { fault, site }
  })
  // kubectl is a process each time: two at a time are enough for two cores.
  await inTurns(sites, async ({ fault, site }) => await fault.before?.(site))
  await cluster.apply({
    apiVersion: 'v1',
    kind: 'List',
    items: sites.map(({ fault, site }) =>
      minimalPipeline(site.name, site.namespace, { redis: { url: redis.url }, ...fault.spec?.(site) }),
    ),
  })
  const operator = await startOperator(t, cluster, { networkPolicy: true, observeEveryMs: 1_500 })

  const breaking = Promise.all(
    sites.map(async ({ fault, site }) => {
      if (fault.after === undefined) return
      const [pod] = await eventually(async () => {
        const pods = await cluster.list(kinds.podType, site.namespace)
        const found = pods.filter(({ metadata }) => metadata.labels?.[nameLabel] === site.name)
        return found.length > 0 ? found : null
      }, patient)
      await fault.after(site, pod?.metadata.name ?? '')
    }),
  )

  const pipelines = async () =>
    new Map((await cluster.list(kinds.pipelineType, '')).map((each) => [each.metadata.name ?? '', each]))
  const short = ({ fault, site }: (typeof sites)[number], found: Loose | undefined) => {
    const { reason, message } = conditionOf(found, fault.type) ?? {}
    return `${fault.name} (${site.name}): ${fault.type} is ${reason}: ${message}`
  }
  // One report suffices: some faults pass by themselves, perhaps while others are still being caused.
  const reportedOnce = new Set<Fault>()
  const reporting = eventually(async () => {
    const found = await pipelines()
    for (const { fault, site } of sites) {
      const condition = conditionOf(found.get(site.name), fault.type)
      if (condition?.reason === fault.reason && fault.reported.every((part) => part.test(condition.message)))
        reportedOnce.add(fault)
    }
    const unreported = sites.filter(({ fault }) => !reportedOnce.has(fault))
    assert.deepEqual(
      unreported.map((each) => short(each, found.get(each.site.name))),
      [],
    )
  }, patient)
  await Promise.all([breaking, reporting])

  await eventually(async () => {
    const events = await cluster.list(eventType, '')
    const missing = sites.filter(
      ({ fault, site }) =>
        !events.some(
          (event) =>
            at(event, 'regarding.name') === site.name &&
            event['type'] === 'Warning' &&
            event['reason'] === fault.reason &&
            fault.reported.every((part) => part.test(String(event['note']))),
        ),
    )
    assert.deepEqual(
      missing.map(({ fault, site }) => `${fault.name} (${site.name})`),
      [],
      'without an Event',
    )
  }, patient)

  const { stdout } = await cluster.server.kubectl(['describe', 'streampipelines', '--all-namespaces', '--show-events'])
  const described = new Map(stdout.split('\n\n\n').map((text) => [/^Name: +(\S+)/m.exec(text)?.[1] ?? '', text]))
  for (const { fault, site } of sites) {
    const text = described.get(site.name) ?? ''
    assert.match(text, new RegExp(`Warning +${fault.reason} `), fault.name)
    const [, reported = ''] = new RegExp(`Message: +(.*)\\n(?: .*\\n)*? +Reason: +${fault.reason}\\n`).exec(text) ?? []
    if (!/loading/.test(fault.name)) assert.ok(reported !== '', `${fault.name} in ${text}`)
  }
  assert.doesNotMatch(stdout + operator.lines.join(''), /p4ss/)

  await inTurns(sites, async ({ fault, site }) => await fault.mend(site))
  await eventually(async () => {
    const found = await pipelines()
    const left = sites.filter(({ fault, site }) => conditionOf(found.get(site.name), fault.type)?.reason === fault.reason)
    assert.deepEqual(
      left.map((each) => short(each, found.get(each.site.name))),
      [],
      'still reported',
    )
  }, patient)
})

async function inTurns<T>(all: readonly T[], each: (one: T) => Promise<void>): Promise<void> {
  const rest = [...all]
  const turn = async () => {
    for (let next = rest.shift(); next !== undefined; next = rest.shift()) await each(next)
  }
  await Promise.all([turn(), turn(), turn()])
}
