/**
 * Whether the API server's schema of StreamPipeline has every field this operator knows. One that lacks some would prune them
 * silently, from specs and from our own status. It is read from the OpenAPI document of the group, which every authenticated user
 * may read. To read the CustomResourceDefinition itself takes a right on the whole cluster.
 *
 *   Unknown ──read──▶ Fits | Outdated ◀──read again──▶ …        (a failed read changes nothing)
 */
import { crd } from '../api/crd.ts'
import { failure, type StreamPipelineError } from '../api/errors.ts'
import type { Clock } from '../process/clock.ts'
import { pause } from '../process/pause.ts'
import { isFailure } from './kubernetes/errors.ts'
import type { Transport } from './kubernetes/transport.ts'
import { pipelineType } from './plan/kinds.ts'

type Compatibility =
  | { readonly kind: 'Unknown' }
  | { readonly kind: 'Fits' }
  | { readonly kind: 'Outdated'; readonly error: StreamPipelineError }

export interface CompatibilityCheck {
  readonly state: Compatibility
  /** Reads again and again until the signal aborts; never rejects. */
  run(signal: AbortSignal): Promise<void>
}

interface CompatibilityOptions {
  readonly transport: Transport
  readonly clock: Clock
  /** While it fits; four times as often while it does not. */
  readonly everyMs: number
  readonly onChange: (state: Compatibility) => void
  readonly onFailure: (error: unknown) => void
}

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>
  readonly items?: Schema
  readonly allOf?: readonly Schema[]
}

const mostNamed = 3

/** Paths that `ours` has and `served` lacks, outermost only. */
export function missingFields(ours: Schema, served: Schema | undefined, path = ''): string[] {
  if (served === undefined) return [path]
  const itemless = ours.items === undefined ? [] : missingFields(ours.items, served.items, `${path}[]`)
  const fields = Object.entries(ours.properties ?? {}).flatMap(([name, inner]) =>
    missingFields(inner, served.properties?.[name], path === '' ? name : `${path}.${name}`),
  )
  return [...itemless, ...fields]
}

function ownSchema(): Schema {
  const { properties = {} } = (crd().spec.versions[0]?.schema.openAPIV3Schema ?? {}) as Schema
  const { spec: own, status } = properties
  return { properties: { ...(own && { spec: own }), ...(status && { status }) } }
}

function judge(document: unknown): Compatibility {
  const { components } = document as { components?: { schemas?: Readonly<Record<string, Schema & Kinds>> } }
  const served = Object.values(components?.schemas ?? {}).find((schema) =>
    schema['x-kubernetes-group-version-kind']?.some(({ kind }) => kind === pipelineType.kind),
  )
  const missing = missingFields(ownSchema(), served)
  if (missing.length === 0) return { kind: 'Fits' }
  const more = missing.length > mostNamed ? ` and ${missing.length - mostNamed} more` : ''
  const fields = `${missing.slice(0, mostNamed).join(', ')}${more}`
  return { kind: 'Outdated', error: failure('SchemaOutdated', { fields }) }
}

interface Kinds {
  readonly 'x-kubernetes-group-version-kind'?: readonly { readonly kind: string }[]
}

export function createCompatibilityCheck(options: CompatibilityOptions): CompatibilityCheck {
  const { transport, clock, everyMs, onChange, onFailure } = options
  const path = `/openapi/v3/apis/${pipelineType.apiVersion}`
  let state: Compatibility = { kind: 'Unknown' }

  async function read(signal: AbortSignal): Promise<void> {
    try {
      const next = judge(await transport.request({ method: 'GET', path, signal }))
      const changed = next.kind !== state.kind
      state = next
      if (changed) onChange(next)
    } catch (thrown) {
      // Not installed at all: the lists of pipelines fail too, and tell so.
      if (!signal.aborted && !isFailure(thrown, 'KubernetesNotFound')) onFailure(thrown)
    }
  }

  return {
    get state() {
      return state
    },
    async run(signal) {
      while (!signal.aborted) {
        await read(signal)
        await pause(state.kind === 'Fits' ? everyMs : everyMs / 4, signal, clock.after)
      }
    },
  }
}
