import { existsSync } from 'node:fs'

const setpriv = ['/usr/bin/setpriv', '/bin/setpriv'].find((path) => process.platform === 'linux' && existsSync(path))

/**
 * A command that dies with the process that starts it, however that ends (the runner kills a test file that takes too long, and
 * no hook runs then): Linux sends the signal when the parent is gone. Elsewhere the command alone.
 */
export const tethered = (command: string, args: readonly string[]): [command: string, args: string[]] =>
  setpriv ? [setpriv, ['--pdeathsig', 'KILL', '--', command, ...args]] : [command, [...args]]
