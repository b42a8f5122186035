/**
 * Status of the kubelet, the scheduler and the Deployment controller for consumers that do not run, in their own words. Each is
 * one fault with its expected report: the object, the cause, and the remedy.
 */
import type { ContainerState, ContainerStatus, PodEvent, PodObject } from '../../../operator/plan/observed.ts'
import { nowMs } from '../builder.ts'
import { deploymentFaults } from './rollouts.ts'
import { plain, type StatusFault } from './statusfault.ts'

export const podName = 'ndvi-consumer-6f9-x1'

const ago = (seconds: number) => new Date(nowMs - seconds * 1000).toISOString().replace('.000Z', 'Z')
const condition = (type: string, status: string, reason?: string, message?: string, seconds = 90) => ({
  type,
  status,
  ...(reason === undefined ? {} : { reason }),
  ...(message === undefined ? {} : { message }),
  lastTransitionTime: ago(seconds),
})

function pod(status: PodObject['status'], spec: PodObject['spec'] = { nodeName: 'node-7' }): PodObject {
  const metadata = { name: podName, namespace: 'farm', uid: 'pod-1', creationTimestamp: ago(100) }
  return { metadata, spec, status: { phase: 'Pending', ...status } }
}

const scheduled = condition('PodScheduled', 'True')
const unready = condition('Ready', 'False', 'ContainersNotReady', 'containers with unready status: [consumer]')
const container = (name: string, state: ContainerState, more: Partial<ContainerStatus> = {}): ContainerStatus => ({
  name,
  image: `registry.example/${name}:1`,
  ready: false,
  started: false,
  restartCount: 0,
  state,
  ...more,
})
const initializing = container('consumer', { waiting: { reason: 'PodInitializing' } })
const up = container('consumer', { running: { startedAt: ago(80) } }, { ready: true, started: true })
const of = (
  containerStatuses: readonly ContainerStatus[],
  initContainerStatuses: readonly ContainerStatus[] = [],
  spec?: PodObject['spec'],
) => pod({ phase: 'Running', conditions: [scheduled, unready], containerStatuses, initContainerStatuses }, spec)

/** The same trouble in our container, in an init container, and in a sidecar: who is to mend it differs. */
type Place = readonly [
  where: string,
  make: (state: ContainerState, more?: Partial<ContainerStatus>) => PodObject,
  reported: readonly RegExp[],
]
const foreign = /it is not of this pipeline/
const places: readonly Place[] = [
  ['the consumer', (state, more) => of([container('consumer', state, more)]), []],
  [
    'an init container',
    (state, more) => of([initializing], [container('mesh-init', state, more)]),
    [/init container mesh-init: /, foreign],
  ],
  ['a sidecar', (state, more) => of([up, container('istio-proxy', state, more)]), [/container istio-proxy: /, foreign]],
]
const inEach = (
  name: string,
  reason: string,
  state: ContainerState,
  reported: readonly RegExp[],
  more?: Partial<ContainerStatus>,
): StatusFault[] =>
  places.map(([where, make, where_]) => ({
    name: `${name}: ${where}`,
    reason,
    pod: make(state, more),
    reported: [...reported, ...where_],
  }))
const waiting = (reason: string, message = '') => ({ waiting: { reason, message } })

const images = [
  ['ImagePullBackOff', 'Back-off pulling image "i": manifest unknown'],
  ['ErrImagePull', 'failed to authorize: 401 Unauthorized'],
  ['InvalidImageName', "couldn't parse image reference"],
  ['ErrImageNeverPull', 'Container image is not present with pull policy of Never'],
  ['SignatureValidationFailed', 'image signature is not valid'],
  ['ImageInspectError', ''],
] as const
const imageFaults = images.flatMap(([reason, message]) =>
  inEach(reason, 'ImagePullFailed', waiting(reason, message), [
    new RegExp(message === '' ? reason : message),
    /[Cc]heck (spec\.consumer\.image|its image \(registry\.example)/,
  ]),
)

const asked = { nodeName: 'node-7', imagePullSecrets: [{ name: 'registry' }, { name: 'mirror' }] }
const denied = waiting('ErrImagePull', 'failed to authorize: 401 Unauthorized')
const pullFaults: readonly StatusFault[] = [
  {
    name: 'a refused pull with Secrets: the consumer',
    reason: 'ImagePullFailed',
    pod: of([container('consumer', denied)], [], asked),
    reported: [/401 Unauthorized/, /imagePullSecrets \(registry, mirror\)/],
  },
  {
    name: 'a refused pull with Secrets: a sidecar',
    reason: 'ImagePullFailed',
    pod: of([up, container('istio-proxy', denied)], [], asked),
    reported: [/imagePullSecrets \(registry, mirror\)/, foreign],
  },
  {
    name: 'a refused pull without a Secret',
    reason: 'ImagePullFailed',
    pod: of([container('consumer', denied)]),
    reported: [/imagePullSecrets \(the pod names none\)/],
  },
]

const creations = [
  ['CreateContainerConfigError', 'secret "absent" not found'],
  ['CreateContainerConfigError', "couldn't find key token in Secret farm/absent"],
  ['CreateContainerConfigError', 'container has runAsNonRoot and image will run as root'],
  ['CreateContainerError', 'context deadline exceeded'],
  ['RunContainerError', 'exec: "node": executable file not found in $PATH'],
  ['PostStartHookError', 'PostStartHook failed'],
  ['PreStartHookError', ''],
  ['AReasonOfALaterKubernetes', 'something new'],
] as const
const creationFaults = creations.flatMap(([reason, message]) =>
  inEach(`${reason} ${message}`, 'ContainerNotCreated', waiting(reason, message), [
    new RegExp((message === '' ? reason : message).replaceAll(/[$()]/g, '.')),
    /Correct what the message names/,
  ]),
)

const ended = (exitCode: number, reason: string, message = '', signal?: number) => ({
  terminated: { exitCode, reason, message, finishedAt: ago(30), ...(signal === undefined ? {} : { signal }) },
})
const crashes = [
  ['refuses its configuration', ended(64, 'Error', 'spec.redis: wrong'), /exit code 64: Error, spec\.redis: wrong/],
  ['out of memory', ended(137, 'OOMKilled'), /exit code 137: OOMKilled.*raise .*memory/],
  ['killed by a signal', ended(139, 'Error', '', 11), /exit code 139, signal 11: Error/],
  ['its last words are many', ended(1, 'Error', `${'noise '.repeat(400)}the last word`), /exit code 1: Error, ….*the last word/],
] as const
const logCommand = new RegExp(`kubectl logs --previous -n farm ${podName} -c (consumer|mesh-init|istio-proxy)`)
const crashFaults = [
  ...crashes.flatMap(([name, lastState, reported]) =>
    inEach(`crash loop, ${name}`, 'ConsumersCrashing', waiting('CrashLoopBackOff', 'back-off 5m0s'), [reported, logCommand], {
      lastState,
      restartCount: 5,
    }),
  ),
  ...inEach('just crashed', 'ConsumersCrashing', ended(1, 'Error', 'boom'), [/exit code 1: Error, boom/, logCommand]),
  ...inEach(
    'runs again after a crash',
    'ConsumersCrashing',
    { running: { startedAt: ago(5) } },
    [/exit code 1: Error, boom/, logCommand],
    {
      lastState: ended(1, 'Error', 'boom'),
      restartCount: 2,
    },
  ),
  {
    name: 'a consumer that ends by itself',
    reason: 'ConsumersCrashing',
    pod: of([container('consumer', ended(0, 'Completed'))]),
    reported: [/exit code 0: Completed/, logCommand],
  },
]

const unschedulable = (message: string, reason = 'Unschedulable') =>
  pod({ conditions: [condition('PodScheduled', 'False', reason, message)] }, {})
const schedulings = [
  '0/3 nodes are available: 3 Insufficient cpu.',
  '0/3 nodes are available: 3 Insufficient memory.',
  "0/3 nodes are available: 3 node(s) had untolerated taint {gpu: 'true'}.",
  "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.",
  "0/3 nodes are available: 3 node(s) didn't match pod topology spread constraints.",
  '0/3 nodes are available: 3 node(s) had volume node affinity conflict.',
  'persistentvolumeclaim "data" not found',
  'pod has unbound immediate PersistentVolumeClaims',
]
const schedulingFaults: readonly StatusFault[] = [
  ...schedulings.map((message) => ({
    name: message,
    reason: 'Unschedulable',
    pod: unschedulable(message),
    reported: [plain(message), /Make room/],
  })),
  {
    name: 'a scheduling gate',
    reason: 'Unschedulable',
    pod: unschedulable('Scheduling is blocked due to non-empty scheduling gates', 'SchedulingGated'),
    reported: [/scheduling gates/, /remove it/],
  },
  {
    name: 'an error of the scheduler',
    reason: 'Unschedulable',
    pod: unschedulable('', 'SchedulerError'),
    reported: [/SchedulerError/],
  },
  {
    name: 'no such scheduler',
    reason: 'Unschedulable',
    pod: pod({ conditions: [] }, { schedulerName: 'volcano' }),
    reported: [/schedulerName volcano/, /scheduler of that name/],
  },
]

const endings = [
  ['Evicted', 'The node was low on resource: memory.'],
  ['Terminated', 'Pod was terminated in response to imminent node shutdown.'],
  ['OutOfcpu', 'Node did not have enough resource: cpu'],
  ['OutOfmemory', 'Node did not have enough resource: memory'],
  ['NodeAffinity', 'Pod was rejected: Predicate NodeAffinity failed'],
  ['UnexpectedAdmissionError', 'Allocate failed'],
  ['Preempting', 'Preempted in order to admit critical pod'],
  ['DeadlineExceeded', 'Pod was active on the node longer than the specified deadline'],
] as const
const endingFaults: readonly StatusFault[] = [
  ...endings.map(([reason, message]) => ({
    name: reason,
    reason: 'PodsEnded',
    pod: pod({ phase: 'Failed', reason, message }),
    reported: [new RegExp(`${reason}: ${message}`), /Look at the node/],
  })),
  { name: 'its containers ended well', reason: 'PodsEnded', pod: pod({ phase: 'Succeeded' }), reported: [/Succeeded/] },
  {
    name: 'NodeLost',
    reason: 'NodeLost',
    pod: pod({ phase: 'Running', reason: 'NodeLost', message: 'Node node-7 which was running pod is unresponsive' }),
    reported: [/node node-7 does not answer: Node node-7 which/],
  },
  {
    name: 'a silent node',
    reason: 'NodeLost',
    pod: pod({
      phase: 'Running',
      conditions: [scheduled, condition('ContainersReady', 'True'), condition('Ready', 'False')],
      containerStatuses: [up],
    }),
    reported: [/node node-7 does not answer/, /kubectl describe node/],
  },
]

const creating = pod({
  conditions: [scheduled, unready],
  containerStatuses: [container('consumer', waiting('ContainerCreating'))],
})
const young = pod({
  conditions: [condition('PodScheduled', 'True', undefined, undefined, 3), unready],
  containerStatuses: [container('consumer', waiting('ContainerCreating'))],
})
const event = (reason: string, message: string, seconds = 20): PodEvent => ({ reason, message, atMs: nowMs - seconds * 1000 })
const byEvents = [
  [
    'FailedMount',
    'MountVolume.SetUp failed for volume "extra" : secret "absent" not found',
    'VolumeNotMounted',
    /Create the Secret/,
  ],
  ['FailedMount', 'MountVolume.SetUp failed for volume "extra" : configmap "absent" not found', 'VolumeNotMounted', /ConfigMap/],
  [
    'FailedMount',
    'Unable to attach or mount volumes: timed out waiting for the condition',
    'VolumeNotMounted',
    /spec\.consumer\.volumes/,
  ],
  ['FailedAttachVolume', 'Multi-Attach error for volume "pvc-1"', 'VolumeNotMounted', /claim/],
  ['FailedMapVolume', 'MapVolume.SetUpDevice failed', 'VolumeNotMounted', /volumes/],
  ['FailedCreatePodSandBox', 'failed to set up sandbox container network', 'SandboxNotCreated', /network plugin/],
  ['NetworkNotReady', 'network is not ready: container runtime network not ready', 'SandboxNotCreated', /network plugin/],
] as const
const eventFaults: readonly StatusFault[] = [
  ...byEvents.flatMap(([name, message, reason, remedy]) => [
    {
      name: `${name}: ${message}`,
      reason,
      pod: creating,
      events: [event('Scheduled', '', 80), event(name, message)],
      reported: [plain(message), remedy],
    },
    {
      name: `${name} of a pod that is new: ${message}`,
      reason,
      pod: young,
      events: [event(name, message, 1)],
      reported: [plain(message), remedy],
    },
  ]),
  {
    name: 'a volume that is mounted by now, and an image that takes long',
    reason: 'ConsumersStuck',
    pod: creating,
    events: [event('FailedMount', 'old', 70), event('Pulling', 'Pulling image', 60)],
    reported: [/ContainerCreating for more than a minute/, /kubectl describe pod -n farm/],
  },
  {
    name: 'something that Events name otherwise',
    reason: 'ConsumersStuck',
    pod: creating,
    events: [event('FailedOtherwise', 'as never before')],
    reported: [/FailedOtherwise: as never before/, /kubectl describe pod/],
  },
  {
    name: 'no Event at all',
    reason: 'ConsumersStuck',
    pod: creating,
    reported: [/ContainerCreating for more than a minute/, /kubectl describe pod/],
  },
  {
    name: 'a kubelet that does not take it up',
    reason: 'ConsumersStuck',
    pod: pod({ conditions: [scheduled] }),
    reported: [/node node-7 has not taken it up/],
  },
]

const running = (more: Partial<ContainerStatus>) => of([container('consumer', { running: { startedAt: ago(45) } }, more)])
const sidecarSpec = { nodeName: 'node-7', initContainers: [{ name: 'proxy', restartPolicy: 'Always' }] }
const probeFaults: readonly StatusFault[] = [
  {
    name: 'a startup probe',
    reason: 'ConsumersNotReady',
    pod: running({ started: false }),
    reported: [/startup probe does not succeed/, /kubectl logs -n farm/],
  },
  {
    name: 'a readiness probe',
    reason: 'ConsumersNotReady',
    pod: running({ started: true }),
    reported: [/readiness probe does not succeed/, /kubectl describe pod -n farm/],
  },
  {
    name: 'a readiness probe, with its Event',
    reason: 'ConsumersNotReady',
    pod: running({ started: true }),
    events: [event('Unhealthy', 'Readiness probe failed: HTTP probe failed with statuscode: 503')],
    reported: [/statuscode: 503/],
  },
  {
    name: "a sidecar's readiness probe",
    reason: 'ConsumersNotReady',
    pod: of([up, container('istio-proxy', { running: { startedAt: ago(45) } }, { started: true })]),
    reported: [/container istio-proxy runs/, /-c istio-proxy/],
  },
  {
    name: 'a readiness gate',
    reason: 'ConsumersNotReady',
    pod: pod(
      {
        phase: 'Running',
        conditions: [
          scheduled,
          condition('ContainersReady', 'True'),
          condition(
            'Ready',
            'False',
            'ReadinessGatesNotReady',
            'the status of pod readiness gate "lb.example/ready" is not "True"',
          ),
        ],
        containerStatuses: [up],
      },
      { nodeName: 'node-7', readinessGates: [{}] },
    ),
    reported: [/lb\.example\/ready/, /controller that sets/],
  },
  {
    name: 'an init container that does not end',
    reason: 'ContainersInitializing',
    pod: of([initializing], [container('migrate', { running: { startedAt: ago(200) } }, { started: true })]),
    reported: [/init container migrate has run for two minutes/, /-c migrate/],
  },
  {
    name: 'a native sidecar that does not start',
    reason: 'ContainersInitializing',
    pod: of([initializing], [container('proxy', { running: { startedAt: ago(60) } })], sidecarSpec),
    events: [event('Unhealthy', 'Startup probe failed: connection refused')],
    reported: [/init container proxy does not start: Startup probe failed/, /-c proxy/],
  },
]

export const statusFaults: readonly StatusFault[] = [
  ...imageFaults,
  ...pullFaults,
  ...creationFaults,
  ...crashFaults,
  ...schedulingFaults,
  ...endingFaults,
  ...eventFaults,
  ...probeFaults,
  ...deploymentFaults,
]
