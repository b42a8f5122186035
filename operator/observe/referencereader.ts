/**
 * Reads Secrets and ConfigMaps by name. They are not watched: a watch needs the right to list every Secret of the namespace.
 * So contents are up to `maxAgeMs` old, at the caller's choice, and many pipelines that share a Secret cost one read.
 */
import type { Reference } from '../../api/compiled.ts'
import { failure } from '../../api/errors.ts'
import { isDataKey, isObjectName } from '../../api/names.ts'
import type { Clock } from '../kubernetes/clock.ts'
import { isFailure } from '../kubernetes/errors.ts'
import { type KubernetesObject, resourcePath } from '../kubernetes/objects.ts'
import type { Transport } from '../kubernetes/transport.ts'
import { configMapType, secretType } from '../plan/kinds.ts'

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
}

const forgetMs = 600_000

export function createReferenceReader(transport: Transport, clock: Clock): ReferenceReader {
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
    async read(namespace, reference, maxAgeMs) {
      const { kind, name, key, field } = reference
      // A name that is none would lead the request elsewhere.
      if (!isObjectName(name) || !isDataKey(key))
        throw failure('ReferenceMissing', { kind, name, key, field, detail: 'no object can have that name or key' })
      const holder = await holderOf(namespace, reference, maxAgeMs)
      if (holder === undefined)
        throw failure('ReferenceMissing', { kind, name, key, field, detail: `there is no such ${kind} in ${namespace}` })
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
