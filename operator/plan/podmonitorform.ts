/** The value of `--pod-monitor-form`, read and checked as far as the Prometheus Operator's own schema does not check it. */
import { failure } from '../../api/errors.ts'
import type { PodMonitorForm } from './podmonitor.ts'

const option = '--pod-monitor-form'
const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null && !Array.isArray(value)
const isTexts = (value: unknown) => isObject(value) && Object.values(value).every((each) => typeof each === 'string')
const isDuration = (value: unknown) => typeof value === 'string' && /^[0-9]+(ms|s|m|h)$/.test(value)
const isObjects = (value: unknown) => Array.isArray(value) && value.every(isObject)

/** The type of each field, and a test of it. */
const fields: Readonly<Record<keyof PodMonitorForm, readonly [form: string, fits: (value: unknown) => boolean]>> = {
  labels: ['a map of texts', isTexts],
  annotations: ['a map of texts', isTexts],
  interval: ['a duration such as 30s', isDuration],
  scrapeTimeout: ['a duration such as 10s', isDuration],
  relabelings: ['a list of objects', isObjects],
  metricRelabelings: ['a list of objects', isObjects],
}

function parsed(text: string): object {
  try {
    const value = JSON.parse(text) as unknown
    if (isObject(value)) return value
  } catch (thrown) {
    throw failure('InvalidOption', { option, detail: `it is no JSON: ${(thrown as SyntaxError).message}` })
  }
  throw failure('InvalidOption', { option, detail: 'write a JSON object' })
}

/**
 * @param text undefined: an empty form
 * @throws InvalidOption that names the wrong field
 */
export function compilePodMonitorForm(text: string | undefined): PodMonitorForm {
  const given = text === undefined ? {} : parsed(text)
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(fields, name))
      throw failure('InvalidOption', { option, detail: `${name} is none of ${Object.keys(fields).join(', ')}` })
    const [form, fits] = fields[name as keyof PodMonitorForm]
    if (!fits(value)) throw failure('InvalidOption', { option, detail: `${name} is not ${form}` })
  }
  return given
}
