/**
 * The cause that keeps one pod from running, as the scheduler and the kubelet report it. The pod's status shows most causes (ended,
 * scheduling.ts, containers.ts). Others show only by Events and by the time taken (silence.ts).
 */
import { printable } from '../../../api/printable.ts'
import type { PodEvents, PodObject } from '../../plan/observed.ts'
import { containerProblem } from './containers.ts'
import type { Finding, PodProblem } from './finding.ts'
import { isScheduled, schedulingProblem } from './scheduling.ts'
import { silenceProblem } from './silence.ts'

type Sign = (pod: PodObject, nowMs: number, events: PodEvents) => Finding | undefined

/** The order matters: an ended pod runs no more, and a pod without a node has no containers. */
const signs: readonly Sign[] = [endedProblem, nodeProblem, schedulingProblem, containerProblem, silenceProblem]

const noEvents: PodEvents = { kind: 'Read', events: [] }

export function problemOf(pod: PodObject, nowMs: number, events: PodEvents = noEvents): PodProblem | undefined {
  if (isReady(pod)) return undefined
  for (const sign of signs) {
    const found = sign(pod, nowMs, events)
    if (found !== undefined) return { ...found, detail: printable(found.detail, 2048), pod: pod.metadata.name ?? '' }
  }
  return undefined
}

/** Whether a pod is not ready and its status names no cause. The kubelet's Events may name it. */
export function isMute(pod: PodObject, nowMs: number): boolean {
  if (isLeaving(pod) || isReady(pod) || !isScheduled(pod)) return false
  const found = problemOf(pod, nowMs)
  return found === undefined || silent.includes(found.reason)
}

const silent: readonly PodProblem['reason'][] = ['ConsumersNotReady', 'ConsumersStuck', 'ContainersInitializing']

export function isLeaving({ metadata }: PodObject): boolean {
  return metadata.deletionTimestamp !== undefined
}

export function isReady({ status }: PodObject): boolean {
  return status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') === true
}

function endedProblem({ status }: PodObject): Finding | undefined {
  if (status?.phase === 'Succeeded') return { ...ended, detail: 'Succeeded: all its containers ended by themselves' }
  if (status?.phase !== 'Failed') return undefined
  const { reason, message } = status
  return { ...ended, detail: [reason ?? 'Failed', message].filter(Boolean).join(': ') }
}

const ended = {
  reason: 'PodsEnded',
  remedy: 'Look at the node, and at requests and limits in spec.consumer.resources; the Deployment replaces the pod',
} as const

function nodeProblem({ status, spec }: PodObject): Finding | undefined {
  const isLost = status?.reason === 'NodeLost' || status?.phase === 'Unknown'
  if (!isLost) return undefined
  const detail = `node ${spec?.nodeName ?? '?'} does not answer${status.message === undefined ? '' : `: ${status.message}`}`
  return {
    reason: 'NodeLost',
    detail,
    remedy: 'Look at the node with kubectl describe node; the pod is replaced after some minutes',
  }
}
