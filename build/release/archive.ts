/** A folder as gzipped tar that is the same on every machine: order, times, owners and modes are stated. */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'

interface ArchiveOptions {
  /** The folder around it. */
  readonly parent: string
  readonly name: string
  readonly file: string
  /** Time of every file, in seconds since 1970. */
  readonly epoch: string
}

export function writeArchive({ parent, name, file, epoch }: ArchiveOptions): void {
  // The umask of a checkout decides what others may do with its files: here they may read, and run what the owner may run.
  const modes = ['--owner=0', '--group=0', '--numeric-owner', '--mode=u+rw,go=u,go-w']
  const args = ['-C', parent, '--sort=name', `--mtime=@${epoch}`, ...modes, '--format=ustar', '-cf', '-', name]
  writeFileSync(file, gzipSync(execFileSync('tar', args, { maxBuffer: 2 ** 28 }), { level: 9 }))
}
