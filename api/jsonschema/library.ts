/**
 * @hyperjump/json-schema, loaded when the first schema needs it: most never do, and it costs a process thirty milliseconds. The
 * bundles of the images carry it, and load it no earlier (build/slim.ts puts its own `require` here).
 */
import { createRequire } from 'node:module'

export type Hyperjump = typeof import('@hyperjump/json-schema/experimental')
export type HyperjumpInstance = typeof import('@hyperjump/json-schema/instance/experimental')

const load = createRequire(import.meta.url)

export function loadHyperjump(): { readonly engine: Hyperjump; readonly instance: HyperjumpInstance } {
  // Which makes the keywords known to the evaluator.
  load('@hyperjump/json-schema/draft-2020-12')
  return {
    engine: load('@hyperjump/json-schema/experimental') as Hyperjump,
    instance: load('@hyperjump/json-schema/instance/experimental') as HyperjumpInstance,
  }
}
