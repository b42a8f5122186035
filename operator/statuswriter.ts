/** Writes status under a field manager of its own, and records the Events that belong to it. */
import type { Caches } from './caches.ts'
import { isFailure } from './kubernetes/errors.ts'
import type { KubernetesObject } from './kubernetes/objects.ts'
import type { EventRecorder } from './kubernetes/recorder.ts'
import { serverSideApply } from './kubernetes/serversideapply.ts'
import type { Transport } from './kubernetes/transport.ts'
import { pipelineType, statusManager } from './plan/kinds.ts'
import type { PipelineObject } from './plan/observed.ts'
import type { Report } from './report.ts'

interface StatusWriterParts {
  readonly transport: Transport
  readonly caches: Caches
  readonly recorder: EventRecorder
}

/** Returns whether a status was written. */
type WriteStatus = (object: PipelineObject, reported: Report, signal: AbortSignal) => Promise<boolean>

export function createStatusWriter({ transport, caches, recorder }: StatusWriterParts): WriteStatus {
  return async (object, reported, signal) => {
    if (!reported.writeStatus) return false
    const { name = '', namespace = '', uid = '' } = object.metadata
    const body = {
      apiVersion: pipelineType.apiVersion,
      kind: pipelineType.kind,
      metadata: { name, namespace, uid },
      status: reported.status,
    }
    try {
      const written = await serverSideApply(transport, pipelineType, body as KubernetesObject, statusManager, signal, 'status')
      caches.pipelines.set(written as PipelineObject)
    } catch (thrown) {
      // Deleted meanwhile: its own event is on its way.
      if (isFailure(thrown, 'KubernetesNotFound')) return false
      throw thrown
    }
    for (const event of reported.events) recorder.record(object, event)
    return true
  }
}
