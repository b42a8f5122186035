/** Events of pods that cannot be read are reported once, and the cause that only they name is reported as unknown. */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StreamPipelineError } from '../../api/errors.ts'
import { loadCredentials } from '../../operator/kubernetes/credentials.ts'
import { createTransport } from '../../operator/kubernetes/transport.ts'
import type { PodEvents, PodObject } from '../../operator/plan/observed.ts'
import { createPodEventReader } from '../../operator/podevents.ts'
import { report } from '../../operator/report.ts'
import { needsApiServer } from '../support/apiserver.ts'
import { createTestClock } from '../support/testclock.ts'
import { deploymentObject, nowMs, observed, pipelineObject, seen } from './builder.ts'
import { borrowCluster } from './cluster.ts'
import { startRefusingProxy } from './refusingproxy.ts'

const at = (ms: number) => new Date(ms).toISOString()

/** Scheduled two minutes ago, and not set up since. */
const stuck = (wall: number): PodObject => ({
  metadata: { name: 'p-1', namespace: 'default', uid: '0b7f3c1e-0000-4000-8000-000000000001' },
  spec: { nodeName: 'node-1' },
  status: {
    phase: 'Pending',
    conditions: [{ type: 'PodScheduled', status: 'True', lastTransitionTime: at(wall - 120_000) }],
    containerStatuses: [{ name: 'consumer', state: { waiting: { reason: 'ContainerCreating' } } }],
  },
})

test(
  'Events that cannot be read are asked for each half minute, reported once, and read again when they can be',
  needsApiServer,
  async (t) => {
    const cluster = await borrowCluster(t)
    const proxy = await startRefusingProxy(t, cluster.server)
    const transport = createTransport(loadCredentials(await proxy.kubeconfig('operator')))
    t.after(() => transport.close())
    const clock = createTestClock()
    const pod = stuck(clock.wall().getTime())
    await cluster.apply({
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: 'p-1.1', namespace: 'default' },
      involvedObject: { kind: 'Pod', namespace: 'default', name: 'p-1', uid: pod.metadata.uid ?? '' },
      reason: 'FailedMount',
      message: 'secret "ca" not found',
      type: 'Warning',
      lastTimestamp: at(clock.wall().getTime()).replace(/\.\d+/, ''),
    } as never)
    const reported: string[] = []
    const reader = createPodEventReader({
      transport,
      clock,
      onUnread: (namespace: string, { code }: StreamPipelineError) => void reported.push(`${namespace} ${code}`),
    })
    const asked = () => proxy.asked.filter(({ path }) => path.includes('/events')).length
    const read = async (): Promise<PodEvents | undefined> =>
      (await reader.read([pod], new AbortController().signal)).get(pod.metadata.uid ?? '')

    proxy.rule = ({ path }) => (path.includes('/events') ? { code: 403, reason: 'Forbidden' } : undefined)
    for (let seconds = 0; seconds < 300; seconds += 5) {
      const events = await read()
      assert.ok(events?.kind === 'Unread' && events.error.code === 'KubernetesForbidden')
      clock.advance(5_000)
    }
    assert.deepEqual(reported, ['default KubernetesForbidden'])
    assert.equal(asked(), 10)
    proxy.rule = ({ path }) => (path.includes('/events') ? { code: 500, reason: 'InternalError' } : undefined)
    for (let seconds = 0; seconds < 900; seconds += 5) {
      await read()
      clock.advance(5_000)
    }
    assert.deepEqual(reported.slice(1), ['default KubernetesBusy', 'default KubernetesBusy'])

    proxy.rule = () => undefined
    clock.advance(30_000)
    const events = await read()
    assert.ok(events?.kind === 'Read')
    assert.deepEqual(
      events.events.map(({ reason, message }) => [reason, message]),
      [['FailedMount', 'secret "ca" not found']],
    )
    // A short failure changes nothing.
    proxy.rule = ({ path }) => (path.includes('/events') ? { code: 500, reason: 'InternalError' } : undefined)
    clock.advance(20_000)
    assert.equal((await read())?.kind, 'Read')
    clock.advance(120_000)
    assert.equal((await read())?.kind, 'Unread')
  },
)

test('status reports such a cause as unknown, with the reason', () => {
  const object = pipelineObject({ scaling: { policy: 'Manual' }, replicas: 1 })
  const pod = { ...stuck(nowMs), metadata: { name: 'p-1', namespace: 'farm', uid: 'pod-1' } }
  const error = { reason: 'Forbidden', code: 'KubernetesForbidden' } as StreamPipelineError
  const message = (podEvents: PodEvents) => {
    const o = observed(object, {
      deployment: deploymentObject(1, 0),
      pods: [pod],
      observation: seen(object),
      podEvents: new Map([['pod-1', podEvents]]),
    })
    return report(o, nowMs).status.conditions?.find(({ type }) => type === 'ConsumersAvailable')?.message ?? ''
  }
  assert.match(
    message({ kind: 'Unread', error }),
    /ContainerCreating for more than a minute; the cause is not known, since the operator cannot read its Events: Forbidden\./,
  )
  assert.doesNotMatch(message({ kind: 'Read', events: [] }), /not known/)
})
