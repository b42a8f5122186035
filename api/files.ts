/** Resource files on disk: reading and checking them, for the CLI and the local runtime. */
import { readFile } from 'node:fs/promises'
import { failure, StreamPipelineError } from './errors.ts'
import { type LoadedPipeline, loadPipelines } from './load.ts'
import { type Problem, validate } from './validate.ts'
import { isRecord } from './validation/problem.ts'

/**
 * The StreamPipelines of a file; `-` reads standard input.
 * @throws UnreadableFile, InvalidPipeline
 */
export async function readPipelines(file: string): Promise<readonly LoadedPipeline[]> {
  return loadPipelines(await read(file), file === '-' ? 'standard input' : file)
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file === '-' ? '/dev/stdin' : file, 'utf8')
  } catch (thrown) {
    throw failure('UnreadableFile', { file, detail: thrown instanceof Error ? thrown.message : String(thrown) }, thrown)
  }
}

export interface CheckedResource {
  /** `namespace/name`, or the name alone; empty when it has none. */
  readonly name: string
  readonly line: number
  readonly problems: readonly (Problem & { readonly line: number })[]
}

export interface FileReport {
  readonly file: string
  readonly resources: readonly CheckedResource[]
  /** What keeps the file from being read as YAML at all, and every problem of its resources, as `FILE:LINE: FIELD: MESSAGE`. */
  readonly problems: readonly string[]
}

function nameOf(document: unknown): string {
  const metadata = isRecord(document) && isRecord(document['metadata']) ? document['metadata'] : {}
  return [metadata['namespace'], metadata['name']].filter((part) => typeof part === 'string' && part !== '').join('/')
}

/**
 * Checks every StreamPipeline of a file.
 * @throws UnreadableFile
 */
export async function validateFile(file: string): Promise<FileReport> {
  try {
    const resources = (await readPipelines(file)).map(({ document, line, lineOf }) => ({
      name: nameOf(document),
      line,
      problems: validate(document).map((problem) => ({ ...problem, line: lineOf(problem.field) })),
    }))
    const problems = resources.flatMap((resource) =>
      resource.problems.map(({ line, field, message }) => `${file}:${line}: ${field === '' ? '' : `${field}: `}${message}`),
    )
    return { file, resources, problems }
  } catch (thrown) {
    if (!(thrown instanceof StreamPipelineError) || thrown.code !== 'InvalidPipeline') throw thrown
    return { file, resources: [], problems: [thrown.message] }
  }
}
