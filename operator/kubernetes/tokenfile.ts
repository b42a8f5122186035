/** A file with a bearer token, which others replace before its end: a pod's ServiceAccount, and `tokenFile` of a kubeconfig. */
import { readFile } from 'node:fs/promises'

export interface TokenFile {
  current(): Promise<string>
}

/** It is read at each call. A file that cannot be read for a moment leaves the last token in use, as with kubectl. */
export function createTokenFile(path: string): TokenFile {
  let last: string | undefined
  return {
    async current() {
      try {
        const token = (await readFile(path, 'utf8')).trim()
        if (token === '') throw new Error(`${path} is empty`)
        last = token
      } catch (thrown) {
        if (last === undefined) throw thrown
      }
      return last
    },
  }
}
