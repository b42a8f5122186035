/** The commit that a release is made of, and the address of its repository. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { root } from '../root.ts'

export interface Source {
  /** Hash of the commit. */
  readonly revision: string
  /** Seconds since 1970 at which it was made: the time of every file of the release. */
  readonly epoch: string
  /** Address of the repository, as SOURCE names it. Undefined: SOURCE is not set. A guessed address could belong to another project. */
  readonly address: string | undefined
}

const git = (...args: string[]) => execFileSync('git', args, { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 26 })

/** @throws Error where SOURCE is no address of https */
export function sourceOf(env: NodeJS.ProcessEnv): Source {
  const { SOURCE: address = '' } = env
  if (address !== '' && !/^https:\/\/[\w.-]+(?::\d+)?\/[\w./~-]+$/.test(address))
    throw new Error(
      `SOURCE must be the address of the repository, such as https://git.example.com/you/streampipeline: ${address}`,
    )
  return {
    revision: git('rev-parse', 'HEAD').trim(),
    epoch: git('log', '-1', '--format=%ct').trim(),
    address: address === '' ? undefined : address,
  }
}

/** Lists the committed files of the folder, by their paths in it. Other files there are no part of a release. */
export const committedFiles = (folder: string): readonly string[] =>
  git('-C', join(root, folder), 'ls-files', '-z')
    .split('\0')
    .filter((file) => file !== '')

/** Files that differ from the commit, as git lists them; empty: none. */
export const uncommitted = (): string => git('status', '--porcelain').trimEnd()
