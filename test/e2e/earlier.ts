/** The release before this one as a user had it: its own chart, and images made from its own sources. */
import { execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { checkOutEarlier } from '../support/earlierrelease.ts'
import { projectRoot } from '../support/root.ts'
import { execute } from './commands.ts'

const folder = join(projectRoot, '.cache', 'earlier')
/** Where the chart of that release looks for its images, if its values name no other place. */
const repository = 'docker.io/streampipeline'

export const earlierChart = join(folder, 'charts', 'streampipeline-operator')
/** A pipeline of that time may have named it. */
export const earlierConsumer = `${repository}/consumer:0.1.0`

/** @returns its image archives */
export async function buildEarlier(): Promise<readonly string[]> {
  rmSync(folder, { recursive: true, force: true })
  checkOutEarlier([], folder)
  // Its bill of materials wants the modules in its own folder, and not behind a link. Hard links cost neither time nor space.
  const modules = join(folder, 'node_modules')
  rmSync(modules)
  execFileSync('cp', ['-al', join(projectRoot, 'node_modules'), modules])
  const images = join(folder, 'build', 'images.ts')
  const { code, stderr } = await execute('env', [`REPOSITORY=${repository}`, process.execPath, images])
  if (code !== 0) throw new Error(`the earlier release cannot be built: ${stderr}`)
  return ['operator', 'consumer'].map((name) => join(folder, '.cache', 'images', `${name}.tar`))
}
