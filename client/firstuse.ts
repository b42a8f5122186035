/**
 * The library's functions, each loaded by its first call. An application that only runs a worker never loads the resource's schema, and one
 * that only dispatches never loads BullMQ's worker or the metrics. The functions are synchronous, so this is `require`; the bundles of the
 * package have a `require` of their own here (build/package/loading.ts).
 */
import { createRequire } from 'node:module'

const load = createRequire(import.meta.url)

const dispatching = () => load('./dispatcher.ts') as typeof import('./dispatcher.ts')
const working = () => load('./worker.ts') as typeof import('./worker.ts')
const loading = () => load('../api/load.ts') as typeof import('../api/load.ts')
const configuration = () => load('../redis/dispatchconfig.ts') as typeof import('../redis/dispatchconfig.ts')

/** Makes a dispatcher; it connects with the first dispatch. Throws InvalidPipeline, InvalidOption. */
export const createDispatcher: typeof import('./dispatcher.ts').createDispatcher = (options) =>
  dispatching().createDispatcher(options)

/** Makes a worker; `start` starts it. Throws InvalidOption. */
export const createWorker: typeof import('./worker.ts').createWorker = (options) => working().createWorker(options)

/** Every pipeline of a YAML text. Throws InvalidPipeline. */
export const loadPipelines: typeof import('../api/load.ts').loadPipelines = (...given) => loading().loadPipelines(...given)

/** Reads a dispatch configuration: the JSON text, or the object it holds. Throws InvalidOption naming the fields. */
export const parseDispatchConfig: typeof import('../redis/dispatchconfig.ts').parseDispatchConfig = (...given) =>
  configuration().parseDispatchConfig(...given)
