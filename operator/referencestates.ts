/** Reads the Secrets and ConfigMaps that a pipeline refers to, as far as the operator may read them. */
import type { Reference } from '../api/compiled.ts'
import { asFailure, type StreamPipelineError } from '../api/errors.ts'
import type { ReferenceReader } from './observe/referencereader.ts'
import type { OperatorSettings, ReadSpec, ReferenceState } from './plan/observed.ts'
import { referencesOf } from './plan/references.ts'
import { podSecrets } from './policy/secrets.ts'

type Sound = Extract<ReadSpec, { kind: 'Sound' }>

/** A Secret that cannot be read is reported after this many times `retryEveryMs`. */
const doubtPatience = 6

export async function readReferences(
  reader: ReferenceReader,
  settings: OperatorSettings,
  spec: Sound,
  namespace: string,
): Promise<ReferenceState[]> {
  const maxAgeMs = Math.floor(settings.referencesEveryMs * 0.9)
  const read = await Promise.all(
    referencesOf(spec.pipeline).map(async (reference): Promise<ReferenceState> => {
      try {
        const value = await reader.read(namespace, reference, maxAgeMs)
        const doubt = reader.doubt(namespace, reference)
        const isLasting = doubt !== undefined && doubt.forMs >= doubtPatience * settings.retryEveryMs
        return { kind: 'Found', reference, value, ...(isLasting ? { doubt: doubt.error } : {}) }
      } catch (thrown) {
        const error = asFailure(thrown)
        return unread(reference, error)
      }
    }),
  )
  // Without a required label, Secrets that only pods get are not read.
  if (settings.limits.secretLabel === undefined) return read
  return [...read, ...(await refusedSecrets(reader, spec, namespace, maxAgeMs))]
}

async function refusedSecrets(reader: ReferenceReader, spec: Sound, namespace: string, maxAgeMs: number) {
  const states = podSecrets(spec.resource.spec.consumer).map(async (secret): Promise<ReferenceState[]> => {
    const reference = { kind: 'Secret', name: secret.name, key: '*', field: secret.field } as const
    const error = await reader.refusal(namespace, secret, maxAgeMs).catch(asFailure)
    return error === undefined ? [] : [unread(reference, error)]
  })
  return (await Promise.all(states)).flat()
}

/** Only a missing object, or one that pipelines may not use, counts as absent: any other failure may pass. */
function unread(reference: Reference, error: StreamPipelineError): ReferenceState {
  const known = error.code === 'ReferenceMissing' || error.code === 'ReferenceRefused'
  return { kind: known ? 'Absent' : 'Unknown', reference, error }
}
