/**
 * A dispatch configuration mounted as a folder, which Kubernetes updates in place a minute or so after the ConfigMap changed.
 * It is read again when a dispatch finds the last reading old; there is no watcher and no timer that would keep a process alive.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { failure } from '../api/errors.ts'
import { type DispatchConfig, dispatchVariable, parseDispatchConfig } from '../redis/dispatchconfig.ts'

/** How old a reading may be. Short against the minute that Kubernetes takes. */
const rereadAfterMs = 5_000

interface Reading {
  readonly text: string
  readonly config: DispatchConfig
}

/**
 * Reads `FOLDER/STREAMPIPELINE_DISPATCH`, again when the last reading is older than five seconds. An unchanged file gives the
 * same object. The first reading throws UnreadableFile or InvalidOption. A later failure goes to `onError`, and the last configuration
 * stays in force: a half-made mount must not stop producers.
 */
export function mountedConfig(
  folder: string,
  onError: (thrown: unknown) => void,
  now: () => number = () => performance.now(),
): () => Promise<DispatchConfig> {
  const file = join(folder, dispatchVariable)
  let last: Reading | undefined
  let readAt = 0
  let rereading: Promise<Reading> | undefined

  async function read(): Promise<Reading> {
    const text = await readFile(file, 'utf8').catch((thrown: unknown) => {
      throw failure('UnreadableFile', { file, detail: 'is the ConfigMap <pipeline>-dispatch mounted there?' }, thrown)
    })
    return text === last?.text ? last : { text, config: parseDispatchConfig(text, file) }
  }

  async function reread(): Promise<Reading> {
    try {
      last = await read()
    } catch (thrown) {
      if (last === undefined) throw thrown
      onError(thrown)
    }
    readAt = now()
    return last
  }

  return async () => {
    if (last !== undefined && now() - readAt < rereadAfterMs) return last.config
    rereading ??= reread().finally(() => {
      rereading = undefined
    })
    return (await rereading).config
  }
}
