/** The form in which errors and observations pass between processes: JSON. Errors of the catalogue are restored from it. */
import { asFailure, type ErrorCode, errorCatalogue, StreamPipelineError } from '../../api/errors.ts'
import type { ConsumerSample, Sample } from '../../scaling/sample.ts'
import type { Observation } from '../plan/observed.ts'
import type { Release, VanishedConsumer } from '../plan/vanished.ts'

export interface WireError {
  readonly code: string
  readonly parameters: Readonly<Record<string, string>>
  /** The message of the cause, for logs. */
  readonly cause?: string
}

export function wireError(thrown: unknown): WireError {
  const { code, parameters, cause } = asFailure(thrown)
  return { code, parameters, ...(cause instanceof Error ? { cause: cause.message } : {}) }
}

export function errorFrom({ code, parameters, cause }: WireError): StreamPipelineError {
  const known: ErrorCode = Object.hasOwn(errorCatalogue, code) ? (code as ErrorCode) : 'Internal'
  return new StreamPipelineError(known, parameters, cause === undefined ? undefined : new Error(cause))
}

interface WireRelease {
  readonly kind: Release['kind']
  readonly error?: WireError
}

export type WireObservation =
  | { readonly kind: 'None' }
  | (Omit<Extract<Observation, { kind: 'Seen' }>, 'vanished' | 'refusal' | 'wakesLate'> & {
      readonly vanished: readonly (Omit<VanishedConsumer, 'release'> & { readonly release: WireRelease })[]
      readonly refusal?: WireError
      readonly wakesLate?: WireError
    })
  | (Omit<Extract<Observation, { kind: 'Failed' }>, 'error'> & { readonly error: WireError })

/** @param living pods whose consumers are all sent; of other consumers only the first are */
export function wireObservation(observation: Observation, living: ReadonlySet<string>): WireObservation {
  switch (observation.kind) {
    case 'None':
      return observation
    case 'Seen': {
      const { refusal, wakesLate, vanished, sample, decision, ...rest } = observation
      return {
        ...rest,
        decision: wireDecision(decision),
        sample: trimmed(sample, living),
        vanished: vanished.map((each) => ({ ...each, release: wireRelease(each.release) })),
        ...(refusal === undefined ? {} : { refusal: wireError(refusal) }),
        ...(wakesLate === undefined ? {} : { wakesLate: wireError(wakesLate) }),
      }
    }
    case 'Failed': {
      const { generation, atMs, error, sample, sampleAtMs, decision } = observation
      const at = atMs === undefined ? {} : { atMs }
      const seen = sample === undefined ? {} : { sample: trimmed(sample, living) }
      const since = sampleAtMs === undefined ? {} : { sampleAtMs }
      return { kind: 'Failed', generation, decision: wireDecision(decision), error: wireError(error), ...at, ...seen, ...since }
    }
    default:
      throw observation satisfies never
  }
}

/** Leaves out the scaler's memory, which may be as large as all the rest. It stays where decisions are made. */
function wireDecision({ replicas, recommended, reason, limitedBy }: Extract<Observation, { kind: 'Failed' }>['decision']) {
  return { replicas, recommended, reason, ...(limitedBy === undefined ? {} : { limitedBy }) }
}

/** The process sends at most this many consumers without a living pod. Status names a few; any client of Redis may invent thousands. */
const mostOthers = 32

function trimmed(sample: Sample, living: ReadonlySet<string>): Sample {
  const runs = ({ uid }: ConsumerSample) => uid !== undefined && living.has(uid.slice(uid.indexOf('/') + 1))
  let others = 0
  const consumers = sample.consumers
    .toSorted((a, b) => b.pending - a.pending)
    .filter((consumer) => runs(consumer) || ++others <= mostOthers)
  return { ...sample, consumers }
}

function wireRelease(release: Release): WireRelease {
  switch (release.kind) {
    case 'Released':
      return { kind: release.kind, ...(release.refusal === undefined ? {} : { error: wireError(release.refusal) }) }
    case 'Awaited':
      return release
    case 'Failed':
      return { kind: release.kind, error: wireError(release.error) }
    default:
      throw release satisfies never
  }
}

export function observationFrom(wire: WireObservation): Observation {
  switch (wire.kind) {
    case 'None':
      return wire
    case 'Seen': {
      const { refusal, wakesLate, vanished, ...rest } = wire
      return {
        ...rest,
        vanished: vanished.map((each) => ({ ...each, release: releaseFrom(each.release) })),
        ...(refusal === undefined ? {} : { refusal: errorFrom(refusal) }),
        ...(wakesLate === undefined ? {} : { wakesLate: errorFrom(wakesLate) }),
      }
    }
    case 'Failed':
      return { ...wire, error: errorFrom(wire.error) }
    default:
      throw wire satisfies never
  }
}

function releaseFrom({ kind, error }: WireRelease): Release {
  switch (kind) {
    case 'Released':
      return { kind, ...(error === undefined ? {} : { refusal: errorFrom(error) }) }
    case 'Awaited':
      return { kind }
    case 'Failed':
      return { kind, error: errorFrom(error ?? wireError(undefined)) }
    default:
      throw kind satisfies never
  }
}
