/** Findings about one schema by itself: names and values of its keywords, its declared dialect, its patterns. */

import { quotedName } from '../printable.ts'
import { clip, type Finding } from './finding.ts'
import { isFormat, knownFormats } from './formats.ts'
import { foreignKeywords, formOf, isAnnotation } from './keywords.ts'
import type { SchemaNode } from './node.ts'
import { likelyKeyword } from './spelling.ts'
import { dialect, isDialect, isVocabulary } from './standard.ts'
import { memberProblem, patternProblem, valueProblem } from './values.ts'

type Said = Pick<Finding, 'weight' | 'message'>

const unusable = (message: string): Said => ({ weight: 'Unusable', message })
const refused = (message: string): Said => ({ weight: 'Refused', message })
const remark = (message: string): Said => ({ weight: 'Remark', message })

export function lint(node: SchemaNode): Finding[] {
  const { value } = node
  if (typeof value === 'boolean') return []
  const members = Object.entries(value).flatMap(([keyword, held]) => {
    const at = (said: Said, ...steps: string[]): Finding => ({ ...said, path: [...node.path, keyword, ...steps] })
    const form = formOf(keyword)
    if (form === undefined) return unknownKeyword(keyword, held, value).map((said) => at(said))
    const member = memberProblem(form, held)
    if (member !== undefined) return [{ ...unusable(member.message), path: [...node.path, keyword, member.step] }]
    const wrong = valueProblem(keyword, form, held)
    if (wrong !== undefined) return [at(unusable(wrong))]
    switch (form) {
      case 'Pattern': {
        const unfit = patternProblem(held as string)
        return unfit === undefined ? [] : [at(unusable(unfit))]
      }
      case 'SchemaByPattern':
        return Object.keys(held as object).flatMap((pattern) => {
          const unfit = patternProblem(pattern)
          return unfit === undefined ? [] : [at(unusable(unfit), pattern)]
        })
      case 'Dialect':
        return isDialect(held as string)
          ? []
          : [at({ weight: node.path.length === 0 ? 'Unusable' : 'Refused', ...foreignDialect(held) })]
      case 'Vocabulary':
        return foreignVocabularies(held as Record<string, boolean>).map((said) => at(said))
      default:
        return keyword === 'format' && !isFormat(held as string) ? [at(unknownFormat(held as string))] : []
    }
  })
  return [...members, ...withoutEffect(node)]
}

function unknownKeyword(keyword: string, held: unknown, schema: Readonly<Record<string, unknown>>): Said[] {
  if (keyword === '$async') {
    return [refused('$async is of ajv, not of JSON Schema, and payloads are judged synchronously: drop it')]
  }
  if (keyword === '$recursiveRef') {
    return [refused('$recursiveRef is of JSON Schema 2019-09: write $dynamicRef, or $ref where nothing extends the schema')]
  }
  if (keyword === 'nullable' && held === true && schema['type'] !== undefined && !allowsNull(schema['type'])) {
    const types = [schema['type'], 'null'].flat()
    return [refused(`nullable is of OpenAPI 3.0 and means nothing in JSON Schema 2020-12: write type: ${JSON.stringify(types)}`)]
  }
  const foreign = foreignKeywords.get(keyword)
  if (foreign !== undefined) return [remark(`${keyword} is no keyword of JSON Schema 2020-12 and has no effect: ${foreign}`)]
  if (isAnnotation(keyword)) return []
  const shown = quotedName(keyword)
  const meant = likelyKeyword(keyword)
  if (meant !== undefined)
    return [unusable(`unknown keyword: ${shown}: write ${meant}, or begin the name with x- to keep it as an annotation`)]
  return [
    remark(`${shown} is no keyword of JSON Schema 2020-12 and has no effect: begin the name with x- if it is an annotation`),
  ]
}

const allowsNull = (type: unknown): boolean => [type].flat().includes('null')

function foreignDialect(held: unknown): { readonly message: string } {
  const message = `$schema ${JSON.stringify(held)} is another dialect than payloads are judged by: write ${JSON.stringify(dialect)} and the keywords of 2020-12, or drop $schema`
  return { message: clip(message, 500) }
}

function foreignVocabularies(vocabularies: Readonly<Record<string, boolean>>): Said[] {
  return Object.entries(vocabularies).flatMap(([uri, required]) => {
    if (isVocabulary(uri)) return []
    const shown = JSON.stringify(clip(uri, 100))
    return required
      ? [refused(`the vocabulary ${shown} is required and not known here: drop it, or set it to false`)]
      : [remark(`the vocabulary ${shown} is not known here and has no effect`)]
  })
}

function unknownFormat(name: string): Said {
  const shown = JSON.stringify(clip(name, 60))
  return remark(`the format ${shown} is not known here and refuses nothing; known are ${knownFormats.join(', ')}`)
}

/** Keywords that judge nothing unless another stands beside them. */
function withoutEffect({ value, path }: SchemaNode): Finding[] {
  if (typeof value === 'boolean') return []
  const needs: readonly (readonly [keyword: string, needed: readonly string[], remedy: string])[] = [
    ['then', ['if'], 'write if beside it'],
    ['else', ['if'], 'write if beside it'],
    ['minContains', ['contains'], 'write contains beside it'],
    ['maxContains', ['contains'], 'write contains beside it'],
  ]
  return needs.flatMap(([keyword, needed, remedy]) =>
    Object.hasOwn(value, keyword) && !needed.some((name) => Object.hasOwn(value, name))
      ? [{ path: [...path, keyword], weight: 'Remark', message: `${keyword} has no effect by itself: ${remedy}` } as const]
      : [],
  )
}
