/**
 * Pods whose status names no cause: a volume that cannot be mounted, a network that is not set up, an init container that does not end, a
 * probe that fails. The kubelet reports the cause by Events alone. Without an Event the time taken is the sign.
 */
import type { PodEvent, PodEvents, PodObject } from '../../plan/observed.ts'
import { containersOf, isOurs } from './containers.ts'
import type { Finding } from './finding.ts'
import { isScheduled } from './scheduling.ts'

/** Setting up a pod takes some seconds, and the first pull of an image more. */
const settingUpMs = 60_000
const initializingMs = 120_000
/** A consumer is ready within a few seconds of its start. */
const startingMs = 30_000
/** Kubernetes repeats an Event at least that often while its cause lasts. */
const freshMs = 600_000

const remedies = {
  VolumeNotMounted: 'Create the Secret, ConfigMap or claim that it names, or correct spec.consumer.volumes',
  SandboxNotCreated: "Look at the node's network plugin and container runtime",
  ContainerNotCreated: 'Correct what the message names in spec.consumer',
  NodeLost: 'Look at the node with kubectl describe node',
} as const

const byEvent: ReadonlyMap<string, keyof typeof remedies> = new Map([
  ['FailedMount', 'VolumeNotMounted'],
  ['FailedAttachVolume', 'VolumeNotMounted'],
  ['FailedMapVolume', 'VolumeNotMounted'],
  ['FailedMountOnFilesystemMismatch', 'VolumeNotMounted'],
  ['VolumeResizeFailed', 'VolumeNotMounted'],
  ['FileSystemResizeFailed', 'VolumeNotMounted'],
  ['FailedCreatePodSandBox', 'SandboxNotCreated'],
  ['FailedPodSandBoxStatus', 'SandboxNotCreated'],
  ['NetworkNotReady', 'SandboxNotCreated'],
  ['HostPortConflict', 'SandboxNotCreated'],
  ['FailedCreatePodContainer', 'ContainerNotCreated'],
  ['FailedPostStartHook', 'ContainerNotCreated'],
  ['NodeNotReady', 'NodeLost'],
])

export function silenceProblem(pod: PodObject, nowMs: number, events: PodEvents): Finding | undefined {
  switch (events.kind) {
    case 'Read':
      return problemWith(pod, nowMs, events.events)
    case 'Unread': {
      const found = problemWith(pod, nowMs, [])
      // The message of the error may differ each time; its reason does not.
      const unread = `the cause is not known, since the operator cannot read its Events: ${events.error.reason}`
      return found && { ...found, detail: `${found.detail}; ${unread}` }
    }
    default:
      return events satisfies never
  }
}

function problemWith(pod: PodObject, nowMs: number, events: readonly PodEvent[]): Finding | undefined {
  const { namespace = 'default', name = '' } = pod.metadata
  const describe = `kubectl describe pod -n ${namespace} ${name}`
  const fresh = events.filter(({ atMs }) => nowMs - atMs < freshMs).toSorted((a, b) => b.atMs - a.atMs)
  const running = containersOf(pod).some(({ state, isInit }) => !isInit && state?.running !== undefined)
  return (
    (running ? undefined : ofEvent(fresh)) ??
    initializing(pod, nowMs, fresh) ??
    notReady(pod, nowMs, fresh, describe) ??
    gated(pod) ??
    settingUp(pod, nowMs, fresh, describe)
  )
}

/** Events that every pod has. */
const ordinary: readonly string[] = ['Scheduled', 'Pulling', 'Pulled', 'Created', 'Started']
/** Events after the volumes and the sandbox are set up: an earlier failure there is over. */
const past: readonly string[] = ['Pulling', 'Pulled', 'Created', 'Started']

/** Finds the newest Event that names a cause, unless a later Event shows that volumes and sandbox are set up. */
function ofEvent(fresh: readonly PodEvent[]): Finding | undefined {
  for (const { reason, message } of fresh) {
    if (past.includes(reason)) return undefined
    const kind = byEvent.get(reason)
    if (kind !== undefined) return { reason: kind, detail: message, remedy: remedies[kind] }
  }
  return undefined
}

function initializing(pod: PodObject, nowMs: number, fresh: readonly PodEvent[]): Finding | undefined {
  const sidecars = new Set(
    (pod.spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always').map((each) => each.name),
  )
  const stuck = containersOf(pod).find(({ isInit, name, state, started }) => {
    if (!isInit || state?.running === undefined) return false
    const isSidecar = sidecars.has(name)
    return isSidecar
      ? started !== true && lasts(state.running.startedAt, startingMs, nowMs)
      : lasts(state.running.startedAt, initializingMs, nowMs)
  })
  if (stuck === undefined) return undefined
  const isSidecar = sidecars.has(stuck.name)
  const what = isSidecar ? 'does not start' : 'has run for two minutes and does not end'
  const probe = isSidecar ? probeText(fresh) : ''
  const { namespace = 'default', name = '' } = pod.metadata
  const command = `kubectl logs -n ${namespace} ${name} -c ${stuck.name ?? '?'}`
  return {
    reason: 'ContainersInitializing',
    detail: `init container ${stuck.name ?? '?'} ${what}${probe}`,
    remedy: `Read its log with ${command}; it is not of this pipeline: look at what adds it to pods`,
  }
}

function notReady(pod: PodObject, nowMs: number, fresh: readonly PodEvent[], describe: string): Finding | undefined {
  const unready = containersOf(pod).find(
    ({ isInit, ready, state }) =>
      !isInit && ready !== true && state?.running !== undefined && lasts(state.running.startedAt, startingMs, nowMs),
  )
  if (unready === undefined) return undefined
  const probe = unready.started === false ? 'startup' : 'readiness'
  const whose = isOurs(unready) ? '' : `container ${unready.name ?? '?'} `
  const { namespace = 'default', name = '' } = pod.metadata
  const log = `kubectl logs -n ${namespace} ${name} -c ${unready.name ?? 'consumer'}`
  return {
    reason: 'ConsumersNotReady',
    detail: `${whose}runs and its ${probe} probe does not succeed${probeText(fresh)}`,
    remedy: `Read its log with ${log}, and its Events with ${describe}`,
  }
}

function probeText(fresh: readonly PodEvent[]): string {
  const unhealthy = fresh.find(({ reason }) => reason === 'Unhealthy' || reason === 'ProbeWarning' || reason === 'ProbeError')
  return unhealthy === undefined ? '' : `: ${unhealthy.message}`
}

/** The containers are ready, and the pod is not. A readiness gate is open, or the node went silent and Kubernetes took Ready back. */
function gated({ status, spec }: PodObject): Finding | undefined {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready')
  const containers = status?.conditions?.find(({ type }) => type === 'ContainersReady')
  if (ready === undefined || ready.status === 'True' || containers?.status !== 'True') return undefined
  if ((spec?.readinessGates ?? []).length > 0) {
    const detail = [ready.message, ready.reason].find(Boolean) ?? 'its readiness gates are not met'
    return {
      reason: 'ConsumersNotReady',
      detail,
      remedy: 'Look at the controller that sets the condition named as a readiness gate',
    }
  }
  return {
    reason: 'NodeLost',
    detail: `node ${spec?.nodeName ?? '?'} does not answer, so its pods do not count as ready`,
    remedy: remedies.NodeLost,
  }
}

function settingUp(pod: PodObject, nowMs: number, fresh: readonly PodEvent[], describe: string): Finding | undefined {
  const { status, metadata, spec } = pod
  if (!isScheduled(pod)) return undefined
  const containers = containersOf(pod)
  if (containers.some(({ state }) => state?.running !== undefined)) return undefined
  const since = status?.conditions?.find(({ type }) => type === 'PodScheduled')?.lastTransitionTime ?? metadata.creationTimestamp
  if (!lasts(since, settingUpMs, nowMs)) return undefined
  const waits = containers.find(({ state }) => state?.waiting?.reason !== undefined)?.state?.waiting?.reason
  const where = waits === undefined ? `node ${spec?.nodeName ?? '?'} has not taken it up` : `it is in ${waits}`
  const event = fresh.find(({ reason }) => !ordinary.includes(reason))
  const said = event === undefined ? '' : ` (${event.reason}: ${event.message})`
  return {
    reason: 'ConsumersStuck',
    detail: `${where} for more than a minute${said}`,
    remedy: `Read its Events with ${describe}`,
  }
}

function lasts(since: string | undefined, ms: number, nowMs: number): boolean {
  return nowMs - Date.parse(since ?? '') >= ms
}
