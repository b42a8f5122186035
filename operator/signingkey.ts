/**
 * The key of the HMAC in pod templates: made once, kept in a Secret of the operator's own namespace. All replicas and all later
 * versions of the operator must sign alike, or each change of leader would roll every pod.
 */
import { randomBytes } from 'node:crypto'
import { failure } from '../api/errors.ts'
import { isFailure } from './kubernetes/errors.ts'
import { type KubernetesObject, resourcePath } from './kubernetes/objects.ts'
import type { Transport } from './kubernetes/transport.ts'
import { secretType } from './plan/kinds.ts'
import { signingSecretName } from './plan/names.ts'

const dataKey = 'key'

type Secret = KubernetesObject & { readonly data?: Readonly<Record<string, string>> }

export async function loadSigningKey(transport: Transport, namespace: string, signal: AbortSignal): Promise<Buffer> {
  const path = resourcePath(secretType, namespace, signingSecretName)
  try {
    return keyOf((await transport.request({ method: 'GET', path, signal })) as Secret, namespace)
  } catch (thrown) {
    if (!isFailure(thrown, 'KubernetesNotFound')) throw thrown
  }
  const secret = {
    apiVersion: secretType.apiVersion,
    kind: secretType.kind,
    metadata: { name: signingSecretName, namespace, labels: { 'app.kubernetes.io/managed-by': 'streampipeline-operator' } },
    type: 'Opaque',
    data: { [dataKey]: randomBytes(32).toString('base64') },
  }
  try {
    await transport.request({ method: 'POST', path: resourcePath(secretType, namespace), body: secret, signal })
  } catch (thrown) {
    // Another replica was faster: its key is the key.
    if (!isFailure(thrown, 'KubernetesConflict')) throw thrown
  }
  return keyOf((await transport.request({ method: 'GET', path, signal })) as Secret, namespace)
}

function keyOf(secret: Secret, namespace: string): Buffer {
  const key = Buffer.from(secret.data?.[dataKey] ?? '', 'base64')
  if (key.length >= 16) return key
  const reference = { kind: 'Secret', name: signingSecretName, key: dataKey, field: 'the operator' }
  throw failure('InvalidReference', {
    ...reference,
    detail: `in ${namespace} it holds fewer than 16 bytes; delete it and a new one is made`,
  })
}
