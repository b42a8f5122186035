/** The schemas that the standard itself publishes. References may leave the resource only for these. */
import { Ajv2020 } from 'ajv/dist/2020.js'

/** `$schema` of the one dialect by which payloads are judged. */
export const dialect = 'https://json-schema.org/draft/2020-12/schema'
const vocabularies = 'https://json-schema.org/draft/2020-12/vocab/'

let published: Ajv2020['schemas'] | undefined

export function standardSchema(uri: string): Readonly<Record<string, unknown>> | undefined {
  if (uri !== dialect && !uri.startsWith('https://json-schema.org/draft/2020-12/meta/')) return undefined
  // ajv carries copies of them, and a new instance compiles none.
  published ??= new Ajv2020({ logger: false }).schemas
  const found = published[uri]?.schema
  return typeof found === 'object' ? found : undefined
}

export const isDialect = (uri: string): boolean => uri.replace(/#$/, '') === dialect

export const isVocabulary = (uri: string): boolean =>
  uri.startsWith(vocabularies) &&
  ['core', 'applicator', 'unevaluated', 'validation', 'meta-data', 'format-annotation', 'format-assertion', 'content'].includes(
    uri.slice(vocabularies.length),
  )
