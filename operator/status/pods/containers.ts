/**
 * Containers that do not run, by the kubelet's report: init containers in their order, then the others, ours first. The message names a
 * container that is not ours, since its remedy is not in the pipeline's spec.
 */
import type { ContainerState, ContainerStatus, PodObject } from '../../plan/observed.ts'
import type { Finding } from './finding.ts'

const ourContainer = 'consumer'
const lastWords = 600
/** Time for which a crash counts, for a container that runs again and is not ready. */
const crashedMs = 600_000

interface Named extends ContainerStatus {
  readonly isInit: boolean
}

export function containersOf({ status }: PodObject): readonly Named[] {
  const init = (status?.initContainerStatuses ?? []).map((each) => ({ ...each, isInit: true }))
  const main = (status?.containerStatuses ?? []).map((each) => ({ ...each, isInit: false }))
  return [...init, ...main.filter(isOurs), ...main.filter((each) => !isOurs(each))]
}

export function isOurs({ name, isInit }: Named): boolean {
  return !isInit && (name === undefined || name === ourContainer)
}

export function containerProblem(pod: PodObject, nowMs: number): Finding | undefined {
  const containers = containersOf(pod)
  for (const find of [waitingProblem, crashProblem])
    for (const container of containers) {
      const found = find(pod, container, nowMs)
      if (found !== undefined) return found
    }
  return undefined
}

const images: readonly string[] = [
  'ImagePullBackOff',
  'ErrImagePull',
  'InvalidImageName',
  'ErrImageNeverPull',
  'ImageInspectError',
  'RegistryUnavailable',
  'SignatureValidationFailed',
]
/** Reasons that `waitingProblem` skips: the container is being set up, or `crashProblem` reports it. */
const onItsWay: readonly string[] = ['ContainerCreating', 'PodInitializing', 'CrashLoopBackOff']

function waitingProblem(pod: PodObject, container: Named): Finding | undefined {
  const waiting = container.state?.waiting
  if (waiting?.reason === undefined || onItsWay.includes(waiting.reason)) return undefined
  const said = waiting.message === undefined || waiting.message === '' ? waiting.reason : waiting.message
  const detail = `${prefix(container)}${said}`
  if (images.includes(waiting.reason)) {
    const secrets = (pod.spec?.imagePullSecrets ?? []).map(({ name = '' }) => name).join(', ') || 'the pod names none'
    const ours = `Check spec.consumer.image, imagePullSecrets (${secrets}) and that the registry can be reached`
    const others = `Check its image (${container.image ?? '?'}) and the pod’s imagePullSecrets (${secrets}); ${foreign}`
    return { reason: 'ImagePullFailed', detail, remedy: isOurs(container) ? ours : others }
  }
  const remedy = isOurs(container)
    ? 'Correct what the message names in spec.consumer'
    : `Correct what the message names; ${foreign}`
  return { reason: 'ContainerNotCreated', detail, remedy }
}

const foreign = 'it is not of this pipeline: look at what adds it to pods, such as a service mesh or an admission policy'

/** The container waits for a restart, has just ended, or runs again after a crash and is not ready. */
function crashProblem(pod: PodObject, container: Named, nowMs: number): Finding | undefined {
  const { state, lastState } = container
  const isWaiting = state?.waiting?.reason === 'CrashLoopBackOff'
  const ended = isWaiting ? (lastState?.terminated ?? state?.terminated) : (state?.terminated ?? crashOf(container, nowMs))
  if (!isWaiting && (ended === undefined || isWellEnded(container, ended))) return undefined
  const { namespace = 'default', name = '' } = pod.metadata
  const command = `kubectl logs --previous -n ${namespace} ${name} -c ${container.name ?? ourContainer}`
  const memory = isOurs(container) ? 'raise spec.consumer.resources.limits.memory' : 'raise its memory limit'
  const whose = isOurs(container) ? '' : `; ${foreign}`
  return {
    reason: 'ConsumersCrashing',
    detail: `${prefix(container)}${endText(ended)}`,
    remedy: `Read its log with ${command}; if it was OOMKilled, ${memory}${whose}`,
  }
}

function crashOf({ lastState, ready, restartCount = 0 }: Named, nowMs: number): ContainerState['terminated'] {
  const ended = lastState?.terminated
  if (ended === undefined || ready === true || restartCount === 0) return undefined
  const endedMs = Date.parse(ended.finishedAt ?? '')
  return nowMs - endedMs < crashedMs ? ended : undefined
}

/** An init container should end. Ours should not, with any exit code. */
function isWellEnded({ isInit, state }: Named, ended: NonNullable<ContainerState['terminated']>): boolean {
  return isInit && state?.terminated !== undefined && ended.exitCode === 0
}

function endText(ended: ContainerState['terminated']): string {
  if (ended === undefined) return 'it ends again and again'
  const { exitCode, signal, reason, message } = ended
  const how = signal === undefined || signal === 0 ? '' : `, signal ${signal}`
  const words = message?.trim() ?? ''
  const last = words.length > lastWords ? `…${words.slice(-lastWords)}` : words
  return `exit code ${exitCode ?? '?'}${how}: ${[reason, last].filter(Boolean).join(', ')}`
}

function prefix(container: Named): string {
  if (isOurs(container)) return ''
  return `${container.isInit ? 'init container' : 'container'} ${container.name ?? '?'}: `
}
