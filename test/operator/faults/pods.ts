/** Pods that don't run. There is no kubelet: their statuses are written by hand, in the words that kubelet and scheduler use. */
import * as kinds from '../../../operator/plan/kinds.ts'
import { nameLabel } from '../../../operator/plan/names.ts'
import { eventually } from '../../support/wait.ts'
import type { Fault, Site } from './fault.ts'

async function say(site: Site, pod: string, status: object): Promise<void> {
  await site.cluster.patch(kinds.podType, site.namespace, pod, { status }, 'status')
}

/** Waits for pods, and says of them that they run. */
export async function podsBecomeReady(site: Site): Promise<void> {
  const at = new Date().toISOString().replace(/\.\d+Z/, 'Z')
  const conditions = [{ type: 'Ready', status: 'True', lastTransitionTime: at }]
  await eventually(
    async () => {
      const pods = await site.cluster.list(kinds.podType, site.namespace)
      const ours = pods.filter(({ metadata }) => metadata.labels?.[nameLabel] === site.name)
      for (const { metadata } of ours)
        await say(site, metadata.name ?? '', { phase: 'Running', conditions, containerStatuses: null })
      return ours.length > 0
    },
    { timeoutMs: 60_000, intervalMs: 200 },
  )
}

const container = (more: object) => ({
  phase: 'Pending',
  containerStatuses: [{ name: 'consumer', image: 'i', imageID: '', ready: false, restartCount: 3, ...more }],
})

const trouble = (name: string, reason: string, told: readonly RegExp[], status: object): Fault => ({
  name,
  type: 'ConsumersAvailable',
  reason,
  told: [/^Pod f-\d+-consumer-\S+: /, ...told],
  after: (site, pod) => say(site, pod, status),
  mend: podsBecomeReady,
})

const waiting = (reason: string, message: string, terminated?: object) =>
  container({ state: { waiting: { reason, message } }, ...(terminated === undefined ? {} : { lastState: { terminated } }) })

const image = /Check spec\.consumer\.image/
const crash = /Read its log with kubectl logs --previous/

export const podFaults: readonly Fault[] = [
  trouble(
    'an image that cannot be pulled',
    'ImagePullFailed',
    [/manifest unknown/, image],
    waiting('ImagePullBackOff', 'manifest unknown'),
  ),
  trouble(
    'an image that is no name',
    'ImagePullFailed',
    [/couldn't parse/, image],
    waiting('InvalidImageName', "couldn't parse image"),
  ),
  trouble(
    'a consumer that refuses its configuration',
    'ConsumersCrashing',
    [/exit code 64: Error, spec\.redis/, crash],
    waiting('CrashLoopBackOff', 'back-off 5m0s', { exitCode: 64, reason: 'Error', message: 'spec.redis: wrong' }),
  ),
  trouble(
    'a consumer that is out of memory',
    'ConsumersCrashing',
    [/exit code 137: OOMKilled/, /raise spec\.consumer\.resources\.limits\.memory/],
    waiting('CrashLoopBackOff', 'back-off 5m0s', { exitCode: 137, reason: 'OOMKilled' }),
  ),
  trouble(
    'a container that cannot be made',
    'ContainerNotCreated',
    [/secret "x" not found/, /Correct what the message names in spec\.consumer/],
    waiting('CreateContainerConfigError', 'secret "x" not found'),
  ),
  trouble('no node with room', 'Unschedulable', [/0\/3 nodes are available: 3 Insufficient cpu/, /Make room, or lower/], {
    phase: 'Pending',
    conditions: [
      {
        type: 'PodScheduled',
        status: 'False',
        reason: 'Unschedulable',
        message: '0/3 nodes are available: 3 Insufficient cpu.',
        lastTransitionTime: '2026-11-22T00:00:00Z',
      },
    ],
  }),
]
