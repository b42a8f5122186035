/**
 * The checked formats, the same for every validator. 2020-12 lets a format be a rule or an annotation; here it is a rule. An unknown format
 * refuses nothing, as the standard demands.
 *
 * The pattern of `url` takes quadratic time: 20,000 colons took 1.2 s. Texts longer than browsers accept are no URLs.
 */
import ajvFormats, { type FormatName } from 'ajv-formats'

/** Checks a text or a number; values of other types have no format. */
export interface FormatCheck {
  readonly type: 'string' | 'number'
  readonly test: (value: never) => boolean
}

const texts: readonly FormatName[] = [
  ...(['date', 'time', 'date-time', 'iso-time', 'iso-date-time', 'duration', 'uri', 'uri-reference', 'uri-template'] as const),
  ...(['url', 'email', 'hostname', 'ipv4', 'ipv6', 'regex', 'uuid', 'json-pointer', 'json-pointer-uri-fragment'] as const),
  ...(['relative-json-pointer', 'byte', 'int32', 'int64', 'float', 'double', 'password', 'binary'] as const),
]

const maxUrlLength = 2_048

const checks: ReadonlyMap<string, FormatCheck> = new Map(texts.map((name) => [name, check(name)]))

export const knownFormats: readonly string[] = texts

export const isFormat = (name: string): boolean => checks.has(name)

export const formatCheck = (name: string): FormatCheck | undefined => checks.get(name)

function check(name: FormatName): FormatCheck {
  const format: unknown = ajvFormats.default.get(name)
  if (format === true) return { type: 'string', test: () => true }
  if (format instanceof RegExp) {
    const longest = name === 'url' ? maxUrlLength : Number.POSITIVE_INFINITY
    return { type: 'string', test: (text: string) => text.length <= longest && format.test(text) }
  }
  if (typeof format === 'function') return { type: 'string', test: format as FormatCheck['test'] }
  const { type = 'string', validate } = format as { type?: 'string' | 'number'; validate: RegExp | FormatCheck['test'] }
  return { type, test: validate instanceof RegExp ? (text: string) => validate.test(text) : validate }
}
