import { existsSync } from 'node:fs'

const setpriv = ['/usr/bin/setpriv', '/bin/setpriv'].find((path) => process.platform === 'linux' && existsSync(path))

/**
 * A command that dies with its parent process. The runner kills a test file that takes too long, and no hook runs then. On Linux
 * the kernel sends the signal when the parent is gone. On other systems the command runs without this.
 */
export const tethered = (command: string, args: readonly string[]): [command: string, args: string[]] =>
  setpriv ? [setpriv, ['--pdeathsig', 'KILL', '--', command, ...args]] : [command, [...args]]
