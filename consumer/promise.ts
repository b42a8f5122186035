/**
 * The consumer's copy of `scaling.targetAge`: an entry that it settles at a higher age counts as late. The operator mounts it beside the
 * configuration, in a file of its own. A change reaches running consumers within about a minute, and rolls none.
 */
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { promiseFile } from '../api/files.ts'
import { pause } from '../process/pause.ts'

const promise = z.object({ targetAgeMs: z.number().positive() })
const readEveryMs = 15_000

interface PromisedAge {
  /** Milliseconds. */
  readonly targetAgeMs: () => number
  /** Reads the file again and again until `signal` aborts. `onFailure` hears why a file that is there could not be read. */
  follow(signal: AbortSignal, onFailure: (thrown: unknown) => void): Promise<void>
}

/**
 * @param config the configuration's path
 * @param initialMs used where there is no such file, or none that can be read: local runs have the whole resource
 */
export function promisedAge(config: string, initialMs: number): PromisedAge {
  const file = join(dirname(config), promiseFile)
  let targetAgeMs = initialMs
  return {
    targetAgeMs: () => targetAgeMs,
    async follow(signal, onFailure) {
      while (!signal.aborted) {
        try {
          targetAgeMs = promise.parse(JSON.parse(await readFile(file, 'utf8'))).targetAgeMs
        } catch (thrown) {
          if (!isAbsent(thrown)) onFailure(thrown)
        }
        await pause(readEveryMs, signal)
      }
    },
  }
}

/** Local runs have no such file. */
const isAbsent = (thrown: unknown): boolean => (thrown as NodeJS.ErrnoException | null)?.code === 'ENOENT'
