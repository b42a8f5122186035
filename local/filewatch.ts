/**
 * Whether the text of the resource's file has changed. Times do not matter: editors save in many ways, and also without a change.
 */
import { readFile, stat } from 'node:fs/promises'

export interface FileWatch {
  readonly path: string
  /** True once for each change of the text. */
  hasChanged(): Promise<boolean>
}

export async function watchFile(path: string): Promise<FileWatch> {
  const look = async () => {
    try {
      const { mtimeMs, size } = await stat(path)
      return `${mtimeMs} ${size}`
    } catch {
      return undefined // away for the moment, or for good: no change of its text
    }
  }
  const read = async () => await readFile(path, 'utf8').catch(() => undefined)
  let seen = await look()
  let text = await read()
  return {
    path,
    async hasChanged() {
      const now = await look()
      if (now === undefined || now === seen) return false
      seen = now
      const next = await read()
      if (next === undefined || next === text) return false
      text = next
      return true
    },
  }
}
