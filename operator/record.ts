/** The state of one pipeline in this process, from one reconcile to the next. */
import { isDeepStrictEqual } from 'node:util'
import type { DeploymentObject } from './plan/deployment.ts'
import type { WrittenTemplate } from './plan/observed.ts'
import { type Setback, startedAnew } from './setback.ts'
import type { JudgedSpec } from './specreader.ts'
import { rolloutOf, standingSinceOf } from './status/rollout.ts'

/** The last write of the template of the Deployment with that uid. */
export interface TemplateRecord extends WrittenTemplate {
  readonly uid: string
}

export interface PipelineRecord {
  spec?: JudgedSpec
  statusWrittenMs?: number
  template?: TemplateRecord | undefined
  /** The fingerprint of the last plan that was carried out without a failure. */
  settled?: string
  /** The last attempt, if it met failures. */
  setback?: Setback
}

interface PipelineRecords {
  /** Makes one where there is none. */
  of(key: string): PipelineRecord
  forget(key: string): void
  /** A watched object of the pipeline, or the pipeline itself, changed: a setback starts anew. */
  touched(key: string): void
  /** Known generations and versions mean nothing any more. */
  forgetAll(): void
}

export function createRecords(nowMs: () => number, retryEveryMs: number): PipelineRecords {
  const records = new Map<string, PipelineRecord>()
  return {
    of(key) {
      const record = records.get(key) ?? {}
      records.set(key, record)
      return record
    },
    forget: (key) => void records.delete(key),
    touched(key) {
      const record = records.get(key)
      if (record?.setback !== undefined) record.setback = startedAnew(record.setback, nowMs(), retryEveryMs)
    },
    forgetAll() {
      for (const record of records.values()) {
        delete record.spec
        delete record.settled
        delete record.setback
        delete record.template
      }
    },
  }
}

/** The first record in this process. It is made from the Deployment as found, before this process scales it. */
export function templateFound(deployment: DeploymentObject | undefined): PipelineRecord['template'] {
  if (deployment === undefined) return undefined
  const { uid = '', generation = 0 } = deployment.metadata
  return { uid, generation }
}

/**
 * The record after an apply; undefined: the write left the template as it was, so the template's rollout goes on or stays stopped.
 * Such a write undid another writer's number of replicas, or changed metadata alone. Where `generation` moved by more than this
 * write, another template may have come between.
 */
export function templateWritten(before: DeploymentObject | undefined, after: DeploymentObject): TemplateRecord | undefined {
  const { uid = '', generation = 0 } = after.metadata
  const moved = generation - (before?.metadata.generation ?? 0)
  const isSameSpec = moved === 0 || (moved === 1 && isDeepStrictEqual(before?.spec?.template, after.spec?.template))
  if (before?.metadata.uid === uid && isSameSpec) return undefined
  const standingSince = standingSinceOf(after)
  return { uid, generation, ...(standingSince === undefined ? {} : { standingSince }) }
}

/** The record of the template, if it is one of this Deployment. */
export function templateOf(
  template: PipelineRecord['template'],
  deployment: DeploymentObject | undefined,
): TemplateRecord | undefined {
  return deployment !== undefined && template?.uid === deployment.metadata.uid ? template : undefined
}

/**
 * The record after a look at the Deployment. Once the rollout was done, its condition is of this template. Consumers that are added later do not
 * make the rollout unfinished.
 */
export function templateSeen(
  template: PipelineRecord['template'],
  deployment: DeploymentObject | undefined,
): PipelineRecord['template'] {
  const own = templateOf(template, deployment)
  if (deployment === undefined || own?.standingSince === undefined || rolloutOf(deployment, own).kind !== 'Done') return template
  const { standingSince: _, ...rolledOut } = own
  return rolledOut
}
