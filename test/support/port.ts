import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

/** Given out, and perhaps not listened on yet: servers that start together must not get the same one. */
const given = new Set<number>()

/**
 * A TCP port of 127.0.0.1 that nothing listens on. Taken from below the range that the kernel gives to outgoing connections, so
 * that it is still free when a server comes back to it after a restart.
 */
export const freePort = async (): Promise<number> => {
  for (let tries = 0; tries < 100; tries += 1) {
    const port = randomInt(10_000, 32_000)
    if (given.has(port)) continue
    given.add(port)
    if (await isFree(port)) return port
  }
  throw new Error('no free port was found on 127.0.0.1 between 10000 and 32000')
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
  })
