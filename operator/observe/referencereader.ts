/**
 * Reads Secrets and ConfigMaps by name. They are not watched: a watch needs the right to list every Secret of the namespace.
 * So contents are up to `maxAgeMs` old, at the caller's choice, and many pipelines that share a Secret cost one read.
 */
import type { Reference } from '../../api/compiled.ts'
import { failure, type StreamPipelineError } from '../../api/errors.ts'
import { isDataKey, isObjectName } from '../../api/names.ts'
import type { Clock } from '../kubernetes/clock.ts'
import { isFailure } from '../kubernetes/errors.ts'
import { type KubernetesObject, resourcePath } from '../kubernetes/objects.ts'
import type { Transport } from '../kubernetes/transport.ts'
import { configMapType, secretType } from '../plan/kinds.ts'
import { type Limits, noLimits } from '../policy/limits.ts'
import { type PodSecret, secretRefusal } from '../policy/secrets.ts'

interface Holder extends KubernetesObject {
  readonly data?: Readonly<Record<string, string>>
  readonly binaryData?: Readonly<Record<string, string>>
}

interface Reading {
  readonly atMs: number
  /** Undefined: there is no such object. */
  readonly holder: Promise<Holder | undefined>
}

export interface ReferenceReader {
  /** Throws ReferenceMissing, or what the API server failed with. */
  read(namespace: string, reference: Reference, maxAgeMs: number): Promise<string>
  /** Why a pod may not be given that Secret; undefined: it may, or there is none. Throws what the API server failed with. */
  refusal(namespace: string, secret: PodSecret, maxAgeMs: number): Promise<StreamPipelineError | undefined>
}

const forgetMs = 600_000

/** @param limits on which Secrets may be read for whom */
export function createReferenceReader(transport: Transport, clock: Clock, limits: Limits = noLimits): ReferenceReader {
  const readings = new Map<string, Reading>()

  async function get(namespace: string, { kind, name }: Reference): Promise<Holder | undefined> {
    try {
      const path = resourcePath(kind === 'Secret' ? secretType : configMapType, namespace, name)
      return (await transport.request({ method: 'GET', path })) as Holder
    } catch (thrown) {
      if (isFailure(thrown, 'KubernetesNotFound')) return undefined
      throw thrown
    }
  }

  async function holderOf(namespace: string, reference: Reference, maxAgeMs: number): Promise<Holder | undefined> {
    const id = `${reference.kind}/${namespace}/${reference.name}`
    const now = clock.now()
    const held = readings.get(id)
    if (held !== undefined && now - held.atMs < maxAgeMs) return await held.holder
    for (const [other, { atMs }] of readings) if (now - atMs > forgetMs) readings.delete(other)
    const reading: Reading = { atMs: now, holder: get(namespace, reference) }
    readings.set(id, reading)
    try {
      return await reading.holder
    } catch (thrown) {
      // A failure of the API server is no answer worth keeping.
      if (readings.get(id) === reading) readings.delete(id)
      throw thrown
    }
  }

  return {
    async refusal(namespace, { name, field }, maxAgeMs) {
      if (!isObjectName(name)) return undefined
      const reference: Reference = { kind: 'Secret', name, key: '*', field }
      const holder = await holderOf(namespace, reference, maxAgeMs)
      return holder && secretRefusal(namespace, reference, holder, limits)
    },
    async read(namespace, reference, maxAgeMs) {
      const { kind, name, key, field } = reference
      // A name that is none would lead the request elsewhere.
      if (!isObjectName(name) || !isDataKey(key))
        throw failure('ReferenceMissing', { kind, name, key, field, detail: 'no object can have that name or key' })
      const holder = await holderOf(namespace, reference, maxAgeMs)
      if (holder === undefined)
        throw failure('ReferenceMissing', { kind, name, key, field, detail: `there is no such ${kind} in ${namespace}` })
      const refusal = kind === 'Secret' ? secretRefusal(namespace, reference, holder, limits) : undefined
      if (refusal !== undefined) throw refusal
      const text = kind === 'ConfigMap' ? textAt(holder.data, key) : undefined
      if (text !== undefined) return text
      const encoded = textAt(kind === 'Secret' ? holder.data : holder.binaryData, key)
      if (encoded === undefined)
        throw failure('ReferenceMissing', { kind, name, key, field, detail: `the ${kind} has no such key` })
      return Buffer.from(encoded, 'base64').toString('utf8')
    },
  }
}

/** `constructor` and `__proto__` are keys like others, and every object answers to them. */
function textAt(data: Holder['data'], key: string): string | undefined {
  return data !== undefined && Object.hasOwn(data, key) ? data[key] : undefined
}
