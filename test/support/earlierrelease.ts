/** Sources of an earlier release, from the history of this clone. They use the dependencies of the present one. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { projectRoot } from './root.ts'

/** The commit whose resources, entries, jobs, chart and consumers must go on. */
export const earlierRelease = '610099e'

export const hasEarlierRelease: boolean =
  spawnSync('git', ['cat-file', '-e', `${earlierRelease}^{commit}`], { cwd: projectRoot }).status === 0

export const needsEarlierRelease: { skip: string | false } = {
  skip: !hasEarlierRelease && `this clone has no commit ${earlierRelease}: fetch the whole history`,
}

/**
 * Writes the release's files at `paths` (none: all) to `folder`, which the caller removes.
 * @param folder default: a new temporary one
 */
export function checkOutEarlier(
  paths: readonly string[],
  folder: string = mkdtempSync(join(tmpdir(), 'streampipeline-earlier-')),
): string {
  mkdirSync(folder, { recursive: true })
  const archive = execFileSync('git', ['archive', earlierRelease, ...paths], { cwd: projectRoot, maxBuffer: 2 ** 28 })
  execFileSync('tar', ['-x', '-C', folder], { input: archive })
  symlinkSync(join(projectRoot, 'node_modules'), join(folder, 'node_modules'))
  return folder
}
