/** The API servers that a run of tests starts once. Later ones start on copies of their files, and some run on, to be borrowed. */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { ordinary, startApiServer } from './apiserver.ts'
import { numbered, offerBootstrapped } from './bootstrapped.ts'
import { describeServer, offerPool } from './serverpool.ts'

interface Counts {
  /** Of servers whose files are kept. */
  readonly kept: number
  /** Of those that run on. */
  readonly lent: number
}

/**
 * Processes that this one starts afterwards find them.
 * @param folder for their files; it is made
 * @returns ends those that run on, at its first call
 */
export const shareServers = async (folder: string, { kept, lent }: Counts): Promise<() => Promise<void>> => {
  const pool = join(folder, 'lent')
  await mkdir(pool, { recursive: true })
  const ends: (() => Promise<void>)[] = []
  const share = async (number: number): Promise<void> => {
    const hooks: (() => Promise<void> | void)[] = []
    const server = await startApiServer({ after: (hook) => void hooks.push(() => hook(undefined)) }, ordinary)
    const end = async () => {
      for (const hook of hooks) await hook()
    }
    await server.keep(numbered(folder, number))
    if (number >= lent) return await end()
    ends.push(end)
    await server.etcd.start()
    await describeServer(pool, number, server.place)
  }
  await Promise.all(Array.from({ length: kept }, (_, number) => share(number)))
  offerBootstrapped(folder)
  offerPool(pool)
  let ended: Promise<unknown> | undefined
  return async () => {
    ended ??= Promise.all([rm(pool, { recursive: true, force: true }), ...ends.map((end) => end())])
    await ended
  }
}
