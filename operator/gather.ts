/** Gathers the observed state of one pipeline: its spec, its objects from the caches, and the last look at its Redis. */
import type { StreamPipelineError } from '../api/errors.ts'
import type { Problem } from '../api/validation/problem.ts'
import type { Clock } from '../process/clock.ts'
import { byPipeline, type Caches } from './caches.ts'
import type { KubernetesObject } from './kubernetes/objects.ts'
import type { Transport } from './kubernetes/transport.ts'
import type { ReferenceReader } from './observe/referencereader.ts'
import type { PipelineWatchers } from './observe/watchers.ts'
import { consumerName, dispatchName } from './plan/names.ts'
import type { Observed, OperatorSettings, PipelineObject } from './plan/observed.ts'
import { createPodEventReader } from './podevents.ts'
import { withoutPeer } from './policy/peers.ts'
import { type PipelineRecord, templateOf, templateSeen } from './record.ts'
import { readReferences } from './referencestates.ts'
import { createSpecReader } from './specreader.ts'

export interface GatherParts {
  readonly transport: Transport
  readonly clock: Clock
  readonly caches: Caches
  readonly reader: ReferenceReader
  readonly watchers: PipelineWatchers
  readonly settings: OperatorSettings
  /** Judges the parts of a spec that may be costly, as createJudge does. */
  readonly judge: (key: string, version: string, value: unknown) => Promise<readonly Problem[]>
  /** Of the served CustomResourceDefinition. */
  readonly schemaFailure?: () => StreamPipelineError | undefined
  /** Events of pods in that namespace cannot be read. */
  readonly onEventsUnread?: (namespace: string, error: StreamPipelineError) => void
}

/** The part of the observed state that needs no request. */
type Known = Omit<Observed, 'spec' | 'settings' | 'podEvents' | 'references' | 'failures'>

interface Gatherer {
  gather(key: string, record: PipelineRecord, object: PipelineObject, signal: AbortSignal): Promise<Observed>
  /** The caches and the last look at this moment. */
  known(key: string, record: PipelineRecord, object: PipelineObject): Known
}

export function childrenOf(caches: Caches, key: string): readonly KubernetesObject[] {
  return [...caches.children.values()].flatMap((store) => store.indexed(byPipeline, key))
}

export function createGatherer(parts: GatherParts): Gatherer {
  const { transport, clock, caches, reader, watchers, settings } = parts
  const readSpec = createSpecReader({ clock, limits: settings.limits, judge: parts.judge })
  const podEvents = createPodEventReader({ transport, clock, onUnread: parts.onEventsUnread ?? (() => {}) })

  function known(key: string, record: PipelineRecord, object: PipelineObject): Known {
    const { namespace = '', name = '' } = object.metadata
    const wroteMs = record.statusWrittenMs
    const schemaFailure = parts.schemaFailure?.()
    const deployment = caches.deployments.get(`${namespace}/${consumerName(name)}`)
    record.template = templateSeen(record.template, deployment)
    return {
      object,
      deployment,
      template: templateOf(record.template, deployment),
      dispatch: caches.configMaps.get(`${namespace}/${dispatchName(name)}`),
      children: childrenOf(caches, key),
      pods: caches.pods.indexed(byPipeline, key),
      observation: settings.manyTeams ? withoutPeer(watchers.observation(key)) : watchers.observation(key),
      dark: caches.dark(namespace),
      ...(record.spec === undefined ? {} : { specSinceMs: record.spec.sinceMs }),
      ...(schemaFailure === undefined ? {} : { schemaFailure }),
      ...(wroteMs === undefined ? {} : { statusWrittenMs: wroteMs }),
    }
  }

  return {
    known,
    async gather(key, record, object, signal) {
      const { namespace = '' } = object.metadata
      const spec = await readSpec(key, record, object)
      const events = await podEvents.read(caches.pods.indexed(byPipeline, key), signal)
      const references = spec.kind === 'Sound' ? await readReferences(reader, settings, spec, namespace) : []
      const read = { spec, settings, podEvents: events, references, failures: [] }
      // Last, since the requests before it may take long.
      return { ...read, ...known(key, record, object) }
    },
  }
}
