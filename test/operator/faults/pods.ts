/** Pods that don't run. There is no kubelet: their statuses are written by hand, in the words that kubelet and scheduler use. */
import { resourcePath } from '../../../operator/kubernetes/objects.ts'
import * as kinds from '../../../operator/plan/kinds.ts'
import { consumerName, nameLabel } from '../../../operator/plan/names.ts'
import { eventually } from '../../support/wait.ts'
import type { Fault, Site } from './fault.ts'

async function say(site: Site, pod: string, status: object): Promise<void> {
  await site.cluster.patch(kinds.podType, site.namespace, pod, { status }, 'status')
}

/** Waits for pods, and marks them as running. */
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

const trouble = (name: string, reason: string, reported: readonly RegExp[], status: object): Fault => ({
  name,
  type: 'ConsumersAvailable',
  reason,
  reported: [/^Pod f-\d+-consumer-\S+: /, ...reported],
  after: (site, pod) => say(site, pod, status),
  mend: podsBecomeReady,
})

const waiting = (reason: string, message: string, terminated?: object) =>
  container({ state: { waiting: { reason, message } }, ...(terminated === undefined ? {} : { lastState: { terminated } }) })

const image = /Check spec\.consumer\.image/
const crash = /Read its log with kubectl logs --previous/

const scheduled = { type: 'PodScheduled', status: 'True', lastTransitionTime: '2026-11-22T00:00:00Z' }
const long = { state: { running: { startedAt: '2026-11-22T00:00:00Z' } } }
const other = (name: string, more: object) => ({
  name,
  image: `mesh.example/${name}:1`,
  imageID: '',
  ready: false,
  restartCount: 7,
  ...more,
})
const crashed = { state: { waiting: { reason: 'CrashLoopBackOff', message: 'back-off' } } }
const lastState = (message: string) => ({ lastState: { terminated: { exitCode: 1, reason: 'Error', message } } })

/** Writes an Event of the kubelet, for faults whose cause the pod's status does not name. */
async function record(site: Site, pod: string, reason: string, message: string): Promise<void> {
  const found = await site.cluster.get(kinds.podType, site.namespace, pod)
  const at = new Date().toISOString().replace(/\.\d+Z/, 'Z')
  const { namespace } = site
  await site.cluster.transport.request({
    method: 'POST',
    path: resourcePath(kinds.eventType, namespace),
    body: {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `${pod}.told`, namespace },
      involvedObject: { apiVersion: 'v1', kind: 'Pod', namespace, name: pod, uid: found?.metadata.uid },
      ...{ type: 'Warning', reason, message, source: { component: 'kubelet' }, firstTimestamp: at, lastTimestamp: at, count: 1 },
    },
  })
}

const deploymentPaused = (site: Site, paused: boolean) =>
  site.cluster.patch(kinds.deploymentType, site.namespace, consumerName(site.name), { spec: { paused } })

export const podFaults: readonly Fault[] = [
  trouble(
    'an init container that crashes',
    'ConsumersCrashing',
    [/init container mesh-init: exit code 1: Error, iptables/, /kubectl logs --previous -n default \S+ -c mesh-init/],
    {
      ...container({ state: { waiting: { reason: 'PodInitializing' } } }),
      initContainerStatuses: [other('mesh-init', { ...crashed, ...lastState('iptables: operation not permitted') })],
    },
  ),
  trouble(
    'a sidecar that crashes beside a consumer that runs',
    'ConsumersCrashing',
    [/container istio-proxy: exit code 1: Error, cannot reach istiod/, /-c istio-proxy/, /not of this pipeline/],
    {
      phase: 'Running',
      conditions: [scheduled],
      containerStatuses: [
        { ...other('consumer', long), ready: true },
        other('istio-proxy', { ...crashed, ...lastState('cannot reach istiod') }),
      ],
    },
  ),
  trouble(
    'a consumer that runs and is never ready',
    'ConsumersNotReady',
    [/its readiness probe does not succeed/, /kubectl describe pod/],
    { phase: 'Running', conditions: [scheduled], containerStatuses: [other('consumer', { ...long, started: true })] },
  ),
  {
    ...trouble('a volume that cannot be mounted', 'VolumeNotMounted', [/secret "absent" not found/, /Create the Secret/], {}),
    after: async (site, pod) => {
      await say(site, pod, { ...container({ state: { waiting: { reason: 'ContainerCreating' } } }), conditions: [scheduled] })
      await record(site, pod, 'FailedMount', 'MountVolume.SetUp failed for volume "extra" : secret "absent" not found')
    },
  },
  {
    name: 'a Deployment that somebody paused',
    type: 'ConsumersAvailable',
    reason: 'RolloutPaused',
    reported: [/^Deployment f-\d+-consumer: /, /spec\.paused of the Deployment is true/, /kubectl rollout resume -n default/],
    after: async (site) => {
      await deploymentPaused(site, true)
      await site.patch({ consumer: { image: 'registry.example/another:1' } })
    },
    mend: async (site) => {
      await deploymentPaused(site, false)
      await podsBecomeReady(site)
    },
  },
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
