/** The scheduler and the kubelet of the simulated cluster: what becomes of pods, in the words that Kubernetes uses. */
import { keyOf } from '../../../operator/kubernetes/objects.ts'
import type { ContainerState } from '../../../operator/plan/observed.ts'
import type { ApiServer, Stored } from './apiserver.ts'
import { epochMs, type Time } from './time.ts'

/** What keeps a pod from being ready. */
export type Ill = 'Image' | 'Config' | 'Crash' | 'Probe' | 'Unschedulable' | 'Evicted' | 'Node'

/** The image decides how its pods fare. */
const illOfImage: Readonly<Record<string, Ill>> = {
  'consumer:unknown': 'Image',
  'consumer:secretless': 'Config',
  'consumer:crashing': 'Crash',
  'consumer:unready': 'Probe',
}
export const images = ['consumer:1', 'consumer:2', 'consumer:3', ...Object.keys(illOfImage)] as const

/** One pod as it really is. */
export interface PodTruth {
  readonly key: string
  readonly uid: string
  /** Of the template it was made from. */
  readonly template: string
  readonly ill: Ill | undefined
  /** Since when its status shows that; undefined: not yet. */
  readonly shownMs: number | undefined
  readonly running: boolean
  readonly ready: boolean
  readonly leaving: boolean
  /** Ended for good. */
  readonly ended: boolean
  /** The configuration that its process read at its start. */
  readonly config: string | undefined
}

export interface Pods {
  list(): readonly PodTruth[]
  make(metadata: Stored['metadata'], template: string, image: string): void
  end(key: string): void
  /** A failure of one pod. */
  strike(key: string, ill: 'Probe' | 'Crash' | 'Evicted' | 'Node', forMs: number): void
  /** No node has room for new pods. */
  full: boolean
}

interface Parts {
  readonly time: Time
  readonly random: () => number
  readonly api: ApiServer
  readonly onChange: () => void
  readonly configOf: (pod: Stored) => string | undefined
}

export function createPods({ time, random, api, onChange, configOf }: Parts): Pods {
  const pods = new Map<string, PodTruth>()
  const between = (low: number, high: number) => low + (high - low) * random()
  const stamp = () => new Date(epochMs + time.nowMs).toISOString().replace(/\.\d+Z$/, 'Z')

  function set(key: string, more: Partial<PodTruth>): void {
    const pod = pods.get(key)
    if (pod === undefined) return
    pods.set(key, { ...pod, ...more })
    onChange()
  }

  function later(ms: number, uid: string, key: string, call: (pod: PodTruth) => void): void {
    time.at(ms, () => {
      const pod = pods.get(key)
      if (pod?.uid === uid && !pod.leaving && !pod.ended) call(pod)
    })
  }

  function say(
    key: string,
    phase: string,
    ready: boolean,
    more: {
      state?: ContainerState
      last?: ContainerState
      restarts?: number
      scheduled?: false
      contained?: true
      started?: boolean
    },
  ): void {
    const at = { lastTransitionTime: stamp() }
    const unscheduled = {
      type: 'PodScheduled',
      status: 'False',
      reason: 'Unschedulable',
      message: '0/3 nodes are available: 3 Insufficient cpu.',
      ...at,
    }
    const { state, last, restarts = 0, scheduled, contained, started = true } = more
    api.setStatus('pods', key, {
      phase,
      conditions: [
        scheduled === false ? unscheduled : { type: 'PodScheduled', status: 'True', ...at },
        { type: 'ContainersReady', status: ready || contained === true ? 'True' : 'False', ...at },
        { type: 'Ready', status: ready ? 'True' : 'False', ...at },
      ],
      ...(state === undefined
        ? {}
        : {
            containerStatuses: [
              {
                name: 'consumer',
                image: 'i',
                ready: ready || contained === true,
                started,
                restartCount: restarts,
                state,
                ...(last && { lastState: last }),
              },
            ],
          }),
    })
  }

  const waiting = (reason: string, message = ''): ContainerState => ({ waiting: { reason, message } })
  const crashed = (): ContainerState => ({ terminated: { exitCode: 1, reason: 'Error', message: 'boom', finishedAt: stamp() } })

  function schedule(key: string, uid: string, ill: Ill | undefined): void {
    later(between(50, 500), uid, key, () => {
      if (result.full) {
        set(key, { ill: 'Unschedulable', shownMs: time.nowMs })
        say(key, 'Pending', false, { scheduled: false })
        later(between(1_000, 4_000), uid, key, () => schedule(key, uid, ill))
        return
      }
      set(key, { ill, shownMs: undefined })
      say(key, 'Pending', false, { state: waiting('ContainerCreating') })
      api.change('pods', key, { spec: { nodeName: 'node-1' } }, 'kube-scheduler')
      later(between(300, 3_000), uid, key, () => begin(key, uid, ill))
    })
  }

  function begin(key: string, uid: string, ill: Ill | undefined): void {
    const stored = api.get('pods', key)
    if (stored === undefined) return
    if (ill === 'Image' || ill === 'Config') {
      say(key, 'Pending', false, {
        state:
          ill === 'Image'
            ? waiting('ImagePullBackOff', 'no such image')
            : waiting('CreateContainerConfigError', 'secret "x" not found'),
      })
      set(key, { shownMs: time.nowMs })
      return
    }
    const config = configOf(stored)
    if (ill === 'Crash') {
      crash(key, uid, Number.POSITIVE_INFINITY)
      return
    }
    say(key, 'Running', false, { state: { running: { startedAt: stamp() } } })
    set(key, { running: true, config, ...(ill === 'Probe' ? { shownMs: time.nowMs } : {}) })
    if (ill === undefined) later(between(300, 3_000), uid, key, () => cure(key))
  }

  function cure(key: string): void {
    say(key, 'Running', true, { state: { running: { startedAt: stamp() } } })
    set(key, { ill: undefined, shownMs: undefined, running: true, ready: true })
  }

  function crash(key: string, uid: string, untilMs: number, restarts = 1): void {
    say(key, 'Running', false, { state: waiting('CrashLoopBackOff', 'back-off'), last: crashed(), restarts })
    set(key, { ill: 'Crash', shownMs: pods.get(key)?.shownMs ?? time.nowMs, running: false, ready: false })
    later(Math.min(5_000 * restarts, 40_000), uid, key, () => {
      say(key, 'Running', false, { state: { running: { startedAt: stamp() } }, last: crashed(), restarts })
      later(between(300, 2_000), uid, key, () => (time.nowMs >= untilMs ? cure(key) : crash(key, uid, untilMs, restarts + 1)))
    })
  }

  function end(key: string): void {
    const pod = pods.get(key)
    if (pod === undefined || pod.leaving) return
    set(key, { leaving: true })
    api.change('pods', key, { metadata: { deletionTimestamp: stamp() } }, 'kube-controller-manager')
    time.at(between(300, pod.ended ? 500 : 6_000), () => {
      if (pods.get(key)?.uid !== pod.uid) return
      pods.delete(key)
      api.remove('pods', key)
    })
  }

  const result: Pods = {
    full: false,
    list: () => [...pods.values()],
    make(metadata, template, image) {
      const stored = api.create('pods', { apiVersion: 'v1', kind: 'Pod', metadata, spec: {}, status: { phase: 'Pending' } })
      const [key, uid] = [keyOf(stored), stored.metadata.uid ?? '']
      const ill = illOfImage[image]
      const fresh = {
        key,
        uid,
        template,
        ill,
        shownMs: undefined,
        running: false,
        ready: false,
        leaving: false,
        ended: false,
        config: undefined,
      }
      pods.set(key, fresh)
      onChange()
      schedule(key, uid, ill)
    },
    end,
    strike(key, ill, forMs) {
      const pod = pods.get(key)
      if (pod === undefined || !pod.ready || pod.leaving) return
      const state = { running: { startedAt: stamp() } }
      if (ill === 'Crash') {
        crash(key, pod.uid, time.nowMs + forMs)
        return
      }
      if (ill === 'Evicted') {
        set(key, { ill, shownMs: time.nowMs, ready: false, running: false, ended: true })
        api.setStatus('pods', key, { phase: 'Failed', reason: 'Evicted', message: 'The node was low on resource: memory.' })
        time.at(between(20_000, 90_000), () => end(key))
        return
      }
      set(key, { ill, shownMs: time.nowMs, ready: false })
      say(key, 'Running', false, ill === 'Node' ? { state, contained: true } : { state })
      later(forMs, pod.uid, key, () => cure(key))
    },
  }
  return result
}
