/** The licences of the packages that the bundles hold: they demand that their text goes with the code. */
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { packageFolder } from '../billofmaterials.ts'
import { root } from '../root.ts'

const licenceFile = /^(?:licen[cs]e|copying|notice)(?:[.-]|$)/i

/** @param inputs files of the bundles, relative to the repository. Throws where a package states no licence. */
export async function writeNotices(file: string, inputs: readonly string[]): Promise<void> {
  const folders = [...new Set(inputs.map(packageFolder).filter((folder) => folder !== undefined))].sort()
  const notices = await Promise.all(folders.map(noticeOf))
  await writeFile(file, `This package holds code of these packages.\n\n${notices.join('\n')}`)
}

async function noticeOf(folder: string): Promise<string> {
  const path = join(root, folder)
  const manifest = JSON.parse(await readFile(join(path, 'package.json'), 'utf8')) as Record<string, unknown>
  const { name, version, license } = manifest
  const files = (await readdir(path)).filter((each) => licenceFile.test(each)).sort()
  const texts = await Promise.all(files.map(async (each) => (await readFile(join(path, each), 'utf8')).trim()))
  if (texts.length === 0 && typeof license !== 'string') throw new Error(`${folder} states no licence`)
  return [
    `${'-'.repeat(80)}\n${String(name)} ${String(version)}, licence: ${String(license ?? 'as below')}\n`,
    ...texts,
    '',
  ].join('\n')
}
