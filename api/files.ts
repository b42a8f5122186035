/** Resource files on disk: reading and checking them, for the CLI and the local runtime. */
import { readFile } from 'node:fs/promises'
import { compilePipeline } from './compile.ts'
import { failure, StreamPipelineError } from './errors.ts'
import { type LoadedPipeline, loadPipelines } from './load.ts'
import { describeMarks } from './markmemory.ts'
import { describeMemory, memoryNeed, memoryRemarks } from './memory.ts'
import { plainPasswordRemarks } from './plainpassword.ts'
import { mostMessage, printable, printableName } from './printable.ts'
import { describeRequestCopies } from './queuememory.ts'
import { type Problem, parsePipeline, validate } from './validate.ts'
import { judgeOf, payloadRemarks } from './validation/payload-schema.ts'
import { isRecord } from './validation/problem.ts'

/**
 * Name of the file that holds the promise, which is `scaling.targetAge`: `{"targetAgeMs": 30000}`. It lies beside a consumer's
 * configuration.
 */
export const promiseFile = 'promise.json'

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

interface CheckedHead {
  /** `namespace/name`, or the name alone; empty when it has none. */
  readonly name: string
  readonly line: number
  readonly problems: readonly (Problem & { readonly line: number })[]
  /** Valid settings that will go wrong all the same, with the remedy. */
  readonly remarks: readonly (Problem & { readonly line: number })[]
}

/** The needs of a valid resource, as phrases. */
interface Needs {
  /** The memory that a consumer of it may hold. */
  readonly memory: string
  /** The memory that idempotency marks take in the queue's Redis. */
  readonly markMemory: string
  /** Memory that copies of requests in jobs may take in the queue's Redis. Absent: jobs keep no copies. */
  readonly queueMemory?: string
  /** The validator of the payloads, and the reason where it is not ajv. Absent: there is no schema. */
  readonly judge?: string
}

/** A resource with problems needs nothing. */
export type CheckedResource = CheckedHead & (Needs | { readonly [Need in keyof Needs]?: never })

export interface FileReport {
  readonly file: string
  readonly resources: readonly CheckedResource[]
  /** Every problem of its resources, as `FILE:LINE: FIELD: MESSAGE`. A file that cannot be loaded has one: its error's message. */
  readonly problems: readonly string[]
  /** Every remark on its resources, as `FILE:LINE: FIELD: MESSAGE`. */
  readonly remarks: readonly string[]
}

/** Kubernetes' own bound: a name within it is shown whole. */
const mostNameOfObject = 253

function nameOf(document: unknown): string {
  const metadata = isRecord(document) && isRecord(document['metadata']) ? document['metadata'] : {}
  return [metadata['namespace'], metadata['name']]
    .flatMap((part) => (typeof part === 'string' && part !== '' ? [printableName(part, mostNameOfObject)] : []))
    .join('/')
}

/**
 * Checks every StreamPipeline of a file.
 * @throws UnreadableFile
 */
export async function validateFile(file: string): Promise<FileReport> {
  try {
    const resources = (await readPipelines(file)).map(checked)
    const lines = (list: (resource: CheckedResource) => readonly (Problem & { readonly line: number })[]) =>
      resources.flatMap((resource) =>
        list(resource).map(({ line, field, message }) =>
          printable(`${file}:${line}: ${field === '' ? '' : `${field}: `}${message}`, mostMessage),
        ),
      )
    return { file, resources, problems: lines(({ problems }) => problems), remarks: lines(({ remarks }) => remarks) }
  } catch (thrown) {
    if (!(thrown instanceof StreamPipelineError) || thrown.code !== 'InvalidPipeline') throw thrown
    return { file, resources: [], problems: [thrown.message], remarks: [] }
  }
}

function checked({ document, line, rounded, lineOf }: LoadedPipeline): CheckedResource {
  const located = (problem: Problem) => ({ ...problem, line: lineOf(problem.field) })
  const head = { name: nameOf(document), line }
  const problems = validate(document).map(located)
  if (problems.length > 0) return { ...head, problems, remarks: [] }
  const resource = parsePipeline(document)
  const pipeline = compilePipeline(resource)
  const need = memoryNeed(pipeline)
  const { consumer, payload } = resource.spec
  const queueMemory = describeRequestCopies(pipeline)
  const judge = judgeOf(payload)
  return {
    ...head,
    problems,
    memory: describeMemory(need),
    markMemory: describeMarks(pipeline.idempotency.windowMs),
    ...(queueMemory !== undefined && { queueMemory }),
    ...(judge !== undefined && { judge }),
    remarks: [...rounded, ...payloadRemarks(payload), ...plainPasswordRemarks(pipeline), ...memoryRemarks(need, consumer)].map(
      located,
    ),
  }
}
