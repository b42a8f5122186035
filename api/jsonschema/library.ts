/**
 * @hyperjump/json-schema, loaded when the first schema needs it. Most processes never do, and loading takes thirty milliseconds. The
 * bundles of the images carry it and load it no earlier (build/slim.ts puts its own `require` here).
 *
 * One of its modules imports `cwd` from `node:process`. Such an import evaluates every exported property, and so opens standard input,
 * output and error. These would keep an otherwise idle process alive. The module gets the function alone instead.
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
    // The import registers the keywords with the evaluator.
    load('@hyperjump/json-schema/draft-2020-12')
    return {
      engine: load('@hyperjump/json-schema/experimental') as Hyperjump,
      instance: load('@hyperjump/json-schema/instance/experimental') as HyperjumpInstance,
    }
  } finally {
    hooks.deregister()
  }
}
