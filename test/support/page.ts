/** The blocks of shell that a page of docs/ prints, by the heading above them, so that a test can run them as a reader would. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { projectRoot } from './root.ts'

/** @param heading without its `#`; a block below a deeper heading belongs to that one */
export async function shellBlocks(page: string, heading: string): Promise<readonly string[]> {
  const text = await readFile(join(projectRoot, 'docs', page), 'utf8')
  const section = text.split(/^#+ /m).find((each) => each.startsWith(`${heading}\n`))
  assert.ok(section !== undefined, `docs/${page} has no heading ${heading}`)
  return [...section.matchAll(/^```sh\n(.*?)^```/gms)].map(({ 1: block = '' }) => block)
}
