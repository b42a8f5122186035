/** The printed parts of README and docs: blocks of code by language, and commands within text. */
import { globSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { projectRoot } from '../../support/root.ts'

export interface Printed {
  /** `README.md:61`. */
  readonly place: string
  readonly text: string
}

const files = ['README.md', ...globSync('docs/**/*.md', { cwd: projectRoot }).sort()]

async function matches(pattern: RegExp): Promise<Printed[]> {
  const found = files.map(async (file) => {
    const text = await readFile(join(projectRoot, file), 'utf8')
    return [...text.matchAll(pattern)].map(({ 1: part = '', index }) => ({
      place: `${file}:${text.slice(0, index).split('\n').length}`,
      text: part,
    }))
  })
  return (await Promise.all(found)).flat()
}

/** @param languages as after the three backticks */
export async function blocksOf(...languages: readonly string[]): Promise<readonly Printed[]> {
  return await matches(new RegExp(`^\`\`\`(?:${languages.join('|')})\\n(.*?)^\`\`\``, 'gms'))
}

/** Code within a line of text, `streampipeline crd`; one for each choice of `dead list|show`. */
export async function spans(): Promise<readonly Printed[]> {
  const found = await matches(/(?<!`)`([^`\n]+)`(?!`)/g)
  // Within tables a bar is written with a backslash.
  return found.flatMap(({ place, text }) => choices(text.replaceAll('\\|', '|')).map((choice) => ({ place, text: choice })))
}

function choices(text: string): readonly string[] {
  const group = /\w+(?:\|\w+)+/.exec(text)?.[0]
  return group === undefined ? [text] : group.split('|').flatMap((choice) => choices(text.replace(group, choice)))
}
