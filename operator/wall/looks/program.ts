/**
 * The process that looks at Redis. It asks the servers that tenants name, reads their replies, and decides on replicas. The process that
 * holds the Lease gets the observations in a form of bounded size. That process also answers questions to the API server: this one has no
 * credentials of the cluster.
 */
import type { CompiledPipeline } from '../../../api/compiled.ts'
import { failure } from '../../../api/errors.ts'
import { systemClock } from '../../../process/clock.ts'
import { createDecisionRecorder } from '../../decisionrecorder.ts'
import { asSeenFrom } from '../../locality.ts'
import { createWatchers, type PipelineWatchers } from '../../observe/watchers.ts'
import { within } from '../../policy/hosts.ts'
import { connectToParent } from '../parent.ts'
import { errorFrom, observationFrom, wireError, wireObservation } from '../wire.ts'
import type { FromLooks, LookSettings, Question, ToLooks, WireWatched } from './messages.ts'

interface Asked {
  readonly resolve: (value: string | boolean) => void
  readonly reject: (error: Error) => void
}

const asked = new Map<number, Asked>()
let questions = 0
let watchers: PipelineWatchers | undefined
let forgetDecisions = (_key: string) => {}
const pipelines = new Map<string, CompiledPipeline>()
const living = new Map<string, ReadonlySet<string>>()

const parent = connectToParent<ToLooks, FromLooks>(receive, async () => await watchers?.close())
const { send } = parent

async function ask(question: Question): Promise<string | boolean> {
  const id = ++questions
  return await new Promise((resolve, reject) => {
    asked.set(id, { resolve, reject })
    send({ kind: 'Ask', id, question })
  })
}

function begin({ everyMs, quietMs, referencesEveryMs, inCluster, limits, decisionLog, cluster }: LookSettings): PipelineWatchers {
  const decisions = createDecisionRecorder(decisionLog, (line) => send({ kind: 'Decided', line }))
  forgetDecisions = decisions.forget
  return createWatchers({
    clock: systemClock,
    everyMs,
    quietMs,
    referencesEveryMs,
    locate: within(limits, inCluster ? asSeenFrom : (_namespace, address) => address),
    reader: {
      read: async (namespace, reference, maxAgeMs) => String(await ask({ kind: 'Reference', namespace, reference, maxAgeMs })),
    },
    confirmGone: async (namespace, name, uid, sinceMs) =>
      (await ask({ kind: 'Gone', namespace, name, uid, ageMs: systemClock.now() - sinceMs })) === true,
    claims: { cluster, isGone: async (holder) => (await ask({ kind: 'PipelineGone', holder })) === true },
    onBegin: (key) => send({ kind: 'Begun', key }),
    onLook: (key, observation, tookMs) =>
      send({ kind: 'Looked', key, observation: wireObservation(observation, living.get(key) ?? new Set()), tookMs }),
    onChange: (key, urgent) => send({ kind: 'Changed', key, urgent }),
    onReaped: (key, consumer, reaping) => send({ kind: 'Reaped', key, consumer, reaping }),
    onReapingFailure: (key, error) => send({ kind: 'ReapingFailure', key, error: wireError(error) }),
    onDecision: decisions.made,
    onFailure: (key, thrown) => send({ kind: 'Failure', key, error: wireError(thrown) }),
  })
}

function receive(message: ToLooks): void {
  switch (message.kind) {
    case 'Settings':
      watchers = begin(message.settings)
      return
    case 'Watch':
      watch(message.key, message.watched, message.before)
      return
    case 'Unwatch':
      watchers?.unwatch(message.key)
      pipelines.delete(message.key)
      living.delete(message.key)
      forgetDecisions(message.key)
      return
    case 'Answer':
      asked.get(message.id)?.resolve(message.value)
      asked.delete(message.id)
      return
    case 'Refusal':
      asked.get(message.id)?.reject(errorFrom(message.error))
      asked.delete(message.id)
      return
    default:
      message satisfies never
  }
}

function watch(key: string, watched: WireWatched, before: Extract<ToLooks, { kind: 'Watch' }>['before']): void {
  const pipeline = watched.pipeline ?? pipelines.get(key)
  if (pipeline === undefined) {
    const detail = 'a pipeline was to be watched before its spec was sent'
    send({ kind: 'Failure', key, error: wireError(failure('Internal', { detail })) })
    return
  }
  const livingPods = new Set(watched.livingPods)
  pipelines.set(key, pipeline)
  living.set(key, livingPods)
  const { currentReplicas, mode } = watched
  watchers?.watch(key, { pipeline, currentReplicas, mode, livingPods }, before && observationFrom(before))
}
