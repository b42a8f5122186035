/**
 * @hyperjump/json-schema, loaded when the first schema needs it: most never do, and it costs a process thirty milliseconds. The
 * bundles of the images carry it, and load it no earlier (build/slim.ts puts its own `require` here).
 *
 * One of its modules imports `cwd` from `node:process`, and an import of that evaluates every property it exports: standard input,
 * output and error would be opened, and keep a process alive that has nothing to do with them. It gets the function by itself.
 */
import { createRequire, registerHooks } from 'node:module'

export type Hyperjump = typeof import('@hyperjump/json-schema/experimental')
export type HyperjumpInstance = typeof import('@hyperjump/json-schema/instance/experimental')

const load = createRequire(import.meta.url)
const cwdAlone = 'data:text/javascript,export const cwd = () => globalThis.process.cwd()'

export function loadHyperjump(): { readonly engine: Hyperjump; readonly instance: HyperjumpInstance } {
  const hooks = registerHooks({
    resolve: (specifier, context, next) =>
      specifier === 'node:process' && context.parentURL?.includes('@hyperjump/browser') === true
        ? { url: cwdAlone, format: 'module', shortCircuit: true }
        : next(specifier, context),
  })
  try {
    // Which makes the keywords known to the evaluator.
    load('@hyperjump/json-schema/draft-2020-12')
    return {
      engine: load('@hyperjump/json-schema/experimental') as Hyperjump,
      instance: load('@hyperjump/json-schema/instance/experimental') as HyperjumpInstance,
    }
  } finally {
    hooks.deregister()
  }
}
