/** Options of one call, for each of its payloads. */
import { failure } from '../api/errors.ts'
import type { DispatchOptions } from './prepare.ts'

const isList = (options: DispatchOptions | readonly DispatchOptions[]): options is readonly DispatchOptions[] =>
  Array.isArray(options)

/** Throws InvalidOption for a list of another length. */
export function optionsFor(
  options: DispatchOptions | readonly DispatchOptions[],
  payloads: number,
): (index: number) => DispatchOptions {
  if (!isList(options)) return () => options
  if (options.length === payloads) return (index) => options[index] ?? {}
  const detail = `${options.length} options for ${payloads} payloads: give one for each, or one for all`
  throw failure('InvalidOption', { option: 'options', detail })
}
