/** A base image from this machine's own files, where no registry can be asked: a file in the place of Node, which nothing runs. */
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Scope } from '../../support/scope.ts'

const buildah = (...args: string[]) => execFileSync('buildah', ['--storage-driver', 'vfs', ...args], { encoding: 'utf8' }).trim()

/** @returns the image's name with its digest; it goes with the scope */
export async function writeBase(scope: Scope): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-base-'))
  const name = `localhost/release-base-${process.pid}`
  scope.after(async () => {
    await rm(folder, { recursive: true, force: true })
    const made = ['operator', 'consumer'].map((image) => `localhost/release/${image}`)
    for (const image of [...made, name]) {
      const ids = buildah('images', '-q', '--filter', `reference=${image}`).split('\n')
      for (const id of ids.filter((each) => each !== '')) buildah('rmi', '-f', id)
    }
  })
  await mkdir(join(folder, 'nodejs', 'bin'), { recursive: true })
  await writeFile(join(folder, 'nodejs', 'bin', 'node'), 'in the place of Node', { mode: 0o755 })
  await writeFile(join(folder, 'Dockerfile'), 'FROM scratch\nCOPY nodejs /nodejs\n')
  buildah('build', '-q', '--identity-label=false', '--isolation', 'chroot', '-t', name, folder)
  const digest = buildah('images', '--format', '{{.Digest}}', name)
  return `${name}@${digest}`
}
