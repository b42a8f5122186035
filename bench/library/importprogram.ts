/**
 * A process that uses the library for the first time: `node importprogram.ts URL`. It imports the peers, then the built package by its name, and
 * dispatches once. Prints the three times in milliseconds.
 */
import type * as Library from '../../client/index.ts'
import { payload, pipelineDocument } from '../forward/workload.ts'
import { type FirstUse, peers } from './firstuse.ts'

async function timed<T>(work: () => Promise<T>): Promise<readonly [number, T]> {
  const begun = performance.now()
  const result = await work()
  return [performance.now() - begun, result]
}

// Specifiers that the compiler does not resolve: the package may not be built while types are checked.
const packageName: string = 'streampipeline'
const [peersMs] = await timed(async () => await Promise.all(peers.map(async (name: string) => await import(name))))
const [importMs, library] = await timed(async () => (await import(packageName)) as typeof Library)
const request = payload('1KiB', 0)
const [firstDispatchMs, dispatcher] = await timed(async () => {
  const made = library.createDispatcher({ pipeline: pipelineDocument(process.argv[2] ?? '') as never })
  await made.dispatch(request)
  return made
})
const used: FirstUse = { peersMs, importMs, firstDispatchMs }
console.log(JSON.stringify(used))
await dispatcher.close()
