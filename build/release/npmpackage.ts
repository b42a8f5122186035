/**
 * The npm package. npm lists the files that belong in it. Their modes would be those of the checkout, so the archive is made anew.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root } from '../root.ts'
import { writeArchive } from './archive.ts'

/** Writes the package into a folder. */
export function packNpm(to: string, version: string, epoch: string, env: NodeJS.ProcessEnv): void {
  const stage = mkdtempSync(join(tmpdir(), 'streampipeline-npm-'))
  const name = `streampipeline-${version}.tgz`
  try {
    execFileSync('npm', ['pack', '--silent', '--pack-destination', stage], {
      cwd: root,
      env,
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    execFileSync('tar', ['-xzf', join(stage, name), '-C', stage])
    writeArchive({ parent: stage, name: 'package', file: join(to, name), epoch })
  } finally {
    rmSync(stage, { recursive: true, force: true })
  }
}
