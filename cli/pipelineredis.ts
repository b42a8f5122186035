/** Connections to the Redis of a pipeline's file, for a command. They are closed when its work is done. */
import { compilePipeline } from '../api/compile.ts'
import type { CompiledPipeline } from '../api/compiled.ts'
import { failure } from '../api/errors.ts'
import { readPipelines } from '../api/files.ts'
import { parsePipeline } from '../api/validate.ts'
import { close, connect, open, type RedisConnection } from '../redis/connect/connection.ts'
import { directoryReader, resolveTarget } from '../redis/connect/references.ts'
import { replyCode } from '../redis/connect/replies.ts'
import { checkKeys, checkStreamKeys } from '../redis/preflight/backends.ts'

interface PipelineRedis {
  readonly pipeline: CompiledPipeline
  readonly stream: RedisConnection
  /** The same as `stream` unless the queue lives in another Redis. */
  readonly queue: RedisConnection
}

type StreamRedis = Omit<PipelineRedis, 'queue'>

interface PipelineSource {
  readonly file: string
  /** Which pipeline, where the file holds several. */
  readonly name?: string
  /** Folder of references, `secret/NAME/KEY`. */
  readonly refs?: string
}

/** Runs `work` with the stream's connection alone; the queue's Redis may be away. Throws catalogued errors. */
export async function withStreamRedis<T>(source: PipelineSource, work: (redis: StreamRedis) => Promise<T>): Promise<T> {
  const pipeline = await choosePipeline(source)
  const stream = connect(await resolveTarget(pipeline.redis, directoryReader(source.refs)), 'CommandLine')
  try {
    await open(stream).catch(unlessItReads)
    return await work({ pipeline, stream })
  } catch (thrown) {
    // The reply names no key.
    if (replyCode(thrown) === 'WRONGTYPE') await checkStreamKeys(pipeline, stream)
    throw thrown
  } finally {
    await close(stream)
  }
}

/** A Redis that cannot save its data (MISCONF) refuses PING and writes. It still answers reads. */
function unlessItReads(thrown: unknown): void {
  if (replyCode(thrown) !== 'MISCONF') throw thrown
}

/** Runs `work` with the pipeline's connections. Throws catalogued errors. */
export async function withPipelineRedis<T>(source: PipelineSource, work: (redis: PipelineRedis) => Promise<T>): Promise<T> {
  const pipeline = await choosePipeline(source)
  const read = directoryReader(source.refs)
  const stream = connect(await resolveTarget(pipeline.redis, read), 'CommandLine')
  const elsewhere = pipeline.sink.redis
  const queue = elsewhere === undefined ? stream : connect(await resolveTarget(elsewhere, read), 'CommandLine')
  try {
    await open(stream)
    if (queue !== stream) await open(queue)
    return await work({ pipeline, stream, queue })
  } catch (thrown) {
    // The reply names no key.
    if (replyCode(thrown) === 'WRONGTYPE') await checkKeys(pipeline, stream, queue)
    throw thrown
  } finally {
    await close(stream)
    if (queue !== stream) await close(queue)
  }
}

/** The file's pipeline, or the one of that name. Throws UnreadableFile, InvalidPipeline, InvalidOption. */
export async function choosePipeline({ file, name }: PipelineSource): Promise<CompiledPipeline> {
  const pipelines = (await readPipelines(file)).map(({ document }) => compilePipeline(parsePipeline(document)))
  const wanted = name === undefined ? pipelines : pipelines.filter((pipeline) => pipeline.name === name)
  const [only, second] = wanted
  const names = pipelines.map((pipeline) => pipeline.name).join(', ')
  if (only === undefined)
    throw failure('InvalidOption', { option: '--name', detail: `${file} holds ${names}, not ${name ?? ''}` })
  if (second !== undefined)
    throw failure('InvalidOption', { option: '--name', detail: `${file} holds ${names}; name one of them` })
  return only
}
