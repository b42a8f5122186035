/** Types, bounds and unknown fields, in the API server's words, so that both report one remedy. */
import type { Structure } from '../structure.ts'
import { isRecord, type Problem, under } from './problem.ts'

interface ShapeProblem extends Problem {
  /** The API server runs no CEL rule on a value with such a problem. */
  readonly blocking: boolean
}

function typeOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number'
  return typeof value
}

/** The name that was probably meant: the same but for case and punctuation, or one the beginning of the other. */
function nearest(name: string, candidates: readonly string[]): string | undefined {
  const plain = (text: string) => text.toLowerCase().replaceAll(/[^a-z0-9]/g, '')
  const wanted = plain(name)
  const begins = (longer: string, shorter: string) => shorter.length >= 3 && longer.startsWith(shorter)
  return candidates.find((candidate) => begins(plain(candidate), wanted) || begins(wanted, plain(candidate)))
}

const listed = (values: readonly unknown[]) => values.map((value) => JSON.stringify(value)).join(', ')

export function shapeProblems(value: unknown, structure: Structure, path: string): ShapeProblem[] {
  const found: ShapeProblem[] = []
  const report = (message: string, blocking: boolean, field = path) => found.push({ field, message, blocking })
  const actual = typeOf(value)

  if (structure['x-kubernetes-int-or-string'] === true) {
    if (actual !== 'integer' && actual !== 'string') report(`must be of type integer or string, is ${actual}`, true)
    else if (typeof value === 'string' && structure.maxLength !== undefined && [...value].length > structure.maxLength)
      report(`may not be more than ${structure.maxLength} characters`, true)
    return found
  }
  if (structure.type !== undefined && structure.type !== actual) {
    report(`must be of type ${structure.type}, is ${actual}`, true)
    return found
  }
  if (structure.enum !== undefined && !structure.enum.includes(value)) {
    report(`unsupported value ${JSON.stringify(value)}: supported values: ${listed(structure.enum)}`, true)
  }
  if (typeof value === 'number') {
    if (structure.minimum !== undefined && value < structure.minimum)
      report(`should be greater than or equal to ${structure.minimum}`, false)
    if (structure.maximum !== undefined && value > structure.maximum)
      report(`should be less than or equal to ${structure.maximum}`, false)
  }
  if (typeof value === 'string') {
    const length = [...value].length
    if (structure.minLength !== undefined && length < structure.minLength)
      report(`should be at least ${structure.minLength} chars long`, false)
    if (structure.maxLength !== undefined && length > structure.maxLength)
      report(`may not be more than ${structure.maxLength} characters`, true)
    if (structure.pattern !== undefined && !new RegExp(structure.pattern).test(value))
      report(`should match '${structure.pattern}'`, false)
  }
  if (Array.isArray(value)) found.push(...listProblems(value, structure, path))
  if (isRecord(value)) found.push(...objectProblems(value, structure, path))
  return found
}

function listProblems(value: readonly unknown[], structure: Structure, path: string): ShapeProblem[] {
  const found: ShapeProblem[] = []
  const { items, minItems, maxItems } = structure
  if (minItems !== undefined && value.length < minItems)
    found.push({ field: path, message: `should have at least ${minItems} items`, blocking: true })
  if (maxItems !== undefined && value.length > maxItems)
    found.push({ field: path, message: `must have at most ${maxItems} items`, blocking: true })
  const keys = structure['x-kubernetes-list-map-keys']
  const seen = new Set<string>()
  value.forEach((item, index) => {
    if (items !== undefined) found.push(...shapeProblems(item, items, under(path, index)))
    if (keys === undefined || !isRecord(item)) return
    const identity = JSON.stringify(keys.map((key) => item[key]))
    if (seen.has(identity))
      found.push({ field: under(path, index), message: `duplicate value: ${keys.join(', ')} must be unique`, blocking: false })
    seen.add(identity)
  })
  return found
}

function objectProblems(value: Readonly<Record<string, unknown>>, structure: Structure, path: string): ShapeProblem[] {
  const found: ShapeProblem[] = []
  const { properties = {}, additionalProperties, required = [], maxProperties } = structure
  if (maxProperties !== undefined && Object.keys(value).length > maxProperties)
    found.push({ field: path, message: `must have at most ${maxProperties} items`, blocking: true })
  for (const name of required) {
    if (value[name] === undefined) found.push({ field: under(path, name), message: 'required value', blocking: true })
  }
  for (const [name, inner] of Object.entries(value)) {
    const known = Object.hasOwn(properties, name) ? properties[name] : additionalProperties
    if (known !== undefined) found.push(...shapeProblems(inner, known, under(path, name)))
    else if (structure['x-kubernetes-preserve-unknown-fields'] !== true) {
      const meant = nearest(name, Object.keys(properties))
      const hint = meant === undefined ? `known here: ${Object.keys(properties).join(', ')}` : `did you mean ${meant}?`
      found.push({ field: under(path, name), message: `unknown field "${under(path, name)}": ${hint}`, blocking: false })
    }
  }
  return found
}
