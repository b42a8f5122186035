/** The checks the API server makes of every object's head: what it is and how it is called. */
import { quotedName } from '../printable.ts'
import { apiVersion, kind } from '../schema/pipeline.ts'
import { isRecord, type Problem, under } from './problem.ts'

const known = new Set([
  'annotations',
  'creationTimestamp',
  'deletionGracePeriodSeconds',
  'deletionTimestamp',
  'finalizers',
  'generateName',
  'generation',
  'labels',
  'managedFields',
  'name',
  'namespace',
  'ownerReferences',
  'resourceVersion',
  'selfLink',
  'uid',
])

const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/
const labelValue = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/
const labelKey = /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/

export function headProblems(document: Readonly<Record<string, unknown>>): Problem[] {
  const found: Problem[] = []
  if (document['apiVersion'] !== apiVersion) found.push({ field: 'apiVersion', message: `write apiVersion: ${apiVersion}` })
  if (document['kind'] !== kind) found.push({ field: 'kind', message: `write kind: ${kind}` })
  const { metadata } = document
  if (!isRecord(metadata)) return [...found, { field: 'metadata', message: 'required value: write metadata: {name: …}' }]
  for (const name of Object.keys(metadata)) {
    if (!known.has(name)) found.push({ field: under('metadata', name), message: `unknown field "${under('metadata', name)}"` })
  }
  return [
    ...found,
    ...nameProblems(metadata),
    ...stringMapProblems(metadata, 'labels', (key, value) => labelKey.test(key) && labelValue.test(value) && value.length <= 63),
    ...stringMapProblems(metadata, 'annotations', (key) => labelKey.test(key.toLowerCase())),
  ]
}

function nameProblems({ name, namespace, generateName }: Readonly<Record<string, unknown>>): Problem[] {
  const found: Problem[] = []
  if (typeof name !== 'string' || name === '') {
    const generated = typeof generateName === 'string' && generateName !== ''
    found.push({
      field: 'metadata.name',
      message: 'required value: write a name, since `kubectl apply` and local runs need one',
      ...(generated && { beyondServer: true as const }),
    })
  } else if (!subdomain.test(name)) {
    found.push({
      field: 'metadata.name',
      message: `${quotedName(name)} is no RFC 1123 name: write lower case letters, digits and dashes, with a letter or digit first and last`,
    })
  }
  if (
    namespace !== undefined &&
    (typeof namespace !== 'string' || (namespace !== '' && (!subdomain.test(namespace) || namespace.length > 63)))
  )
    found.push({ field: 'metadata.namespace', message: 'write lower case letters, digits and dashes' })
  return found
}

function stringMapProblems(
  metadata: Readonly<Record<string, unknown>>,
  field: string,
  fits: (key: string, value: string) => boolean,
): Problem[] {
  const map = metadata[field]
  if (map === undefined || map === null) return []
  if (!isRecord(map)) return [{ field: `metadata.${field}`, message: 'must be an object of strings' }]
  return Object.entries(map).flatMap(([key, value]) => {
    if (typeof value !== 'string')
      return [{ field: under(`metadata.${field}`, key), message: `must be of type string, is ${typeof value}: put it in quotes` }]
    return fits(key, value) ? [] : [{ field: under(`metadata.${field}`, key), message: `not a valid key or value of ${field}` }]
  })
}
